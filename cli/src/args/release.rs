//! Arguments of `releases`, `rollback` and `promote`.

use kennel_model::{ReleaseId, TenantName};

/// `kennel releases`
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  kennel releases blog")]
pub struct Releases {
    /// The tenant
    pub name: TenantName,
}

/// `kennel rollback`
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  kennel rollback blog
  kennel rollback blog --to 7

The release is tried beside the one that serves, and takes over when it is ready; what is no good never serves
(with `kennel limits NAME --trial off` it is started in its place, and watched for five seconds). Nothing is
removed: `--to` leads back.")]
pub struct Rollback {
    /// The tenant
    pub name: TenantName,
    /// Number of a release that is kept, such as 7 or r7 [default: the newest before the one that serves]
    #[arg(long, value_name = "N", value_parser = number)]
    pub to: Option<ReleaseId>,
}

/// `kennel promote`
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  kennel deploy blog . --beta     # shown at r12.blog.example.com, while r11 serves
  kennel promote blog

What is shown takes over as it runs: it is not started again, and no request is lost. Another release is tried
first. One that ends twice in the two minutes after is taken back from. `kennel rollback` leads back.")]
pub struct Promote {
    /// The tenant
    pub name: TenantName,
    /// Number of a release that is kept, such as 12 or r12 [default: the one that is shown, or the newest]
    #[arg(value_name = "N", value_parser = number)]
    pub release: Option<ReleaseId>,
}

/// A release's number as people write it.
fn number(text: &str) -> Result<ReleaseId, String> {
    let number = text.strip_prefix('r').unwrap_or(text).parse().ok().filter(|number| *number > 0);
    number.map(ReleaseId).ok_or_else(|| "a release is a number, such as 7 or r7".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_are_numbers_with_or_without_their_letter() {
        assert_eq!(number("7"), Ok(ReleaseId(7)));
        assert_eq!(number("r12"), Ok(ReleaseId(12)));
        for bad in ["", "r", "0", "-1", "rr1", "latest", "4294967296"] {
            assert!(number(bad).is_err(), "{bad}");
        }
    }
}
