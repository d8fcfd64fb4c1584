//! What becomes of a ref that is pushed, by its name: `main` and `master` serve, another branch is shown as a beta, and whatever
//! a host has no place for is refused in words that git prints beside the ref.

/// Branches whose commits serve.
const SERVING: [&str; 2] = ["main", "master"];

/// What a branch is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// It serves.
    Serves,
    /// It is shown at a domain of its own.
    Shown,
}

/// Why a ref is not taken, for git to print.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Refused(pub String);

/// What a ref of this name is for.
///
/// # Errors
/// [`Refused`], for all but branches.
pub fn place(name: &str) -> Result<Place, Refused> {
    match name.strip_prefix("refs/heads/") {
        Some(branch) if SERVING.contains(&branch) => Ok(Place::Serves),
        Some(_) => Ok(Place::Shown),
        None if name.starts_with("refs/tags/") => Err(Refused(
            "tags are not deployed, branches are: git push kennel TAG^{}:refs/heads/main".to_owned(),
        )),
        None => Err(Refused("only branches are deployed".to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn main_serves_other_branches_are_shown_and_the_rest_is_refused() {
        for (name, expected) in [
            ("refs/heads/main", Ok(Place::Serves)),
            ("refs/heads/master", Ok(Place::Serves)),
            ("refs/heads/fix/main", Ok(Place::Shown)),
            ("refs/tags/main", Err("tags are not deployed")),
            ("refs/notes/commits", Err("only branches")),
            ("main", Err("only branches")),
        ] {
            match (place(name), expected) {
                (Ok(place), Ok(expected)) => assert_eq!(place, expected, "{name}"),
                (Err(refused), Err(words)) => assert!(refused.to_string().starts_with(words), "{refused}"),
                (place, _) => panic!("{name}: {place:?}"),
            }
        }
    }
}
