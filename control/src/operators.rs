//! The keys that may sign in, whoever named them.

use ssh_key::PublicKey;

/// Those who may sign in.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Operators {
    keys: Vec<PublicKey>,
}

impl Operators {
    /// The owners of these keys.
    pub fn of(keys: impl IntoIterator<Item = PublicKey>) -> Self {
        let mut operators = Self::default();
        operators.join(keys);
        operators
    }

    /// These and those.
    pub fn join(&mut self, others: impl IntoIterator<Item = PublicKey>) {
        for key in others {
            if !self.admits(&key) {
                self.keys.push(key);
            }
        }
    }

    /// Whether this key may sign in. Names and comments do not count.
    pub fn admits(&self, key: &PublicKey) -> bool {
        self.keys.iter().any(|k| k.key_data() == key.key_data())
    }

    /// How many keys there are.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether nobody can sign in.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kennel_user_data::parse_key;

    const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIEPGo02wNjd8wWRqyeMFFJJ1XYpOjsfyFHuMNmTGGHI8 ada";

    #[test]
    fn keys_are_known_whatever_their_comment() {
        let operators = Operators::of([parse_key(KEY).unwrap()]);
        assert_eq!(operators.len(), 1);
        assert!(operators.admits(&parse_key(&KEY.replace(" ada", " someone-else")).unwrap()));
        let other = KEY.replace("IEPGo0", "IEPGo1");
        assert!(!operators.admits(&parse_key(&other).unwrap()));
    }
}
