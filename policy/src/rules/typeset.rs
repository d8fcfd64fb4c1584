//! Sets of types as bits: a type is its place in the list of all of them.

/// A set of types of one policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TypeSet {
    words: Vec<u64>,
    /// How many types there are.
    types: usize,
}

const BITS: usize = u64::BITS as usize;

impl TypeSet {
    /// None of so many types.
    pub(crate) fn none(types: usize) -> Self {
        Self { words: vec![0; types.div_ceil(BITS)], types }
    }

    /// All of so many types.
    pub(crate) fn all(types: usize) -> Self {
        Self::none(types).complement()
    }

    /// Just this one.
    pub(crate) fn one(types: usize, only: usize) -> Self {
        let mut set = Self::none(types);
        set.insert(only);
        set
    }

    pub(crate) fn insert(&mut self, place: usize) {
        self.words[place / BITS] |= 1 << (place % BITS);
    }

    pub(crate) fn contains(&self, place: usize) -> bool {
        self.words[place / BITS] >> (place % BITS) & 1 == 1
    }

    pub(crate) fn or(mut self, other: &Self) -> Self {
        self.words.iter_mut().zip(&other.words).for_each(|(a, b)| *a |= b);
        self
    }

    pub(crate) fn and(mut self, other: &Self) -> Self {
        self.words.iter_mut().zip(&other.words).for_each(|(a, b)| *a &= b);
        self
    }

    /// Those that are not in it.
    pub(crate) fn complement(mut self) -> Self {
        self.words.iter_mut().for_each(|word| *word = !*word);
        let beyond = self.words.len() * BITS - self.types;
        if let Some(last) = self.words.last_mut() {
            *last &= u64::MAX >> beyond;
        }
        self
    }

    pub(crate) fn is_within(&self, other: &Self) -> bool {
        self.words.iter().zip(&other.words).all(|(a, b)| a & !b == 0)
    }

    /// Their places, ascending.
    pub(crate) fn places(&self) -> impl Iterator<Item = usize> {
        self.words.iter().enumerate().flat_map(|(index, &word)| {
            let rest = |word: &u64| Some(word & (word - 1)).filter(|rest| *rest != 0);
            std::iter::successors(Some(word).filter(|word| *word != 0), rest)
                .map(move |word| index * BITS + word.trailing_zeros() as usize)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(types: usize, places: &[usize]) -> TypeSet {
        places.iter().fold(TypeSet::none(types), |set, &place| set.or(&TypeSet::one(types, place)))
    }

    #[test]
    fn sets_behave_like_sets() {
        let (a, b) = (set(130, &[0, 63, 64, 129]), set(130, &[63, 100]));
        assert_eq!(a.places().collect::<Vec<_>>(), [0, 63, 64, 129]);
        assert_eq!(a.clone().and(&b), set(130, &[63]));
        assert_eq!(a.clone().or(&b), set(130, &[0, 63, 64, 100, 129]));
        assert_eq!(a.clone().complement().places().count(), 126);
        assert!(set(130, &[0, 129]).is_within(&a) && !b.is_within(&a));
        assert!(a.contains(129) && !a.contains(128));
    }

    #[test]
    fn all_of_them_are_no_more_than_there_are() {
        for types in [1, 63, 64, 65, 128] {
            assert_eq!(TypeSet::all(types).places().count(), types);
        }
    }
}
