//! A list that grows without ever holding its elements twice, paid for in advance.

use super::super::refusal::Refusal;
use super::Budget;

/// How many bytes are taken at a time.
const CHUNK: usize = 16 << 10;

/// A list of chunks of one length.
#[derive(Debug)]
pub(super) struct Chunked<T> {
    chunks: Vec<Vec<T>>,
    len: usize,
}

impl<T> Default for Chunked<T> {
    fn default() -> Self {
        Self { chunks: Vec::new(), len: 0 }
    }
}

impl<T> Chunked<T> {
    const LENGTH: usize = CHUNK / size_of::<T>().next_power_of_two();
    const BYTES: usize = Self::LENGTH * size_of::<T>();

    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn push(&mut self, value: T, budget: &Budget) -> Result<(), Refusal> {
        let at = self.len / Self::LENGTH;
        if at == self.chunks.len() {
            budget.charge(Self::BYTES)?;
            self.chunks.push(Vec::with_capacity(Self::LENGTH));
        }
        self.chunks[at].push(value);
        self.len += 1;
        Ok(())
    }

    pub(super) fn pop(&mut self) -> Option<T> {
        self.len = self.len.checked_sub(1)?;
        self.chunks[self.len / Self::LENGTH].pop()
    }

    /// Drops what is beyond `len`; the room stays.
    pub(super) fn truncate(&mut self, len: usize) {
        while self.len > len {
            self.pop();
        }
    }

    pub(super) fn get(&self, at: usize) -> Option<&T> {
        self.chunks.get(at / Self::LENGTH)?.get(at % Self::LENGTH)
    }

    pub(super) fn get_mut(&mut self, at: usize) -> Option<&mut T> {
        self.chunks.get_mut(at / Self::LENGTH)?.get_mut(at % Self::LENGTH)
    }

    /// Returns what it gives back to the budget when it is dropped, in bytes.
    pub(super) fn bytes(&self) -> usize {
        self.chunks.len() * Self::BYTES
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_a_stack_and_pays_for_its_chunks() {
        let budget = Budget::of(0, 0);
        let mut list = Chunked::default();
        (0..10_000_u32).for_each(|it| list.push(it, &budget).unwrap());
        assert_eq!((list.len(), list.get(9_999), list.get(10_000)), (10_000, Some(&9_999), None));
        assert_eq!(list.bytes(), 3 * CHUNK);
        list.truncate(4096);
        assert_eq!((list.pop(), list.len()), (Some(4095), 4095));
        list.push(7, &budget).unwrap();
        assert_eq!((list.get(4095), list.get(4096)), (Some(&7), None));
        let refused = (0..1_u32 << 20).find_map(|it| list.push(it, &budget).err());
        assert!(refused.is_some());
    }
}
