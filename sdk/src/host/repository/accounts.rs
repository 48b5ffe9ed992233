//! Who holds how much memory: every version that is loaded, those that wait for their last request among them.

use std::sync::{Arc, Mutex, PoisonError};

use crate::call::MemoryHeld;

/// How many of those who hold memory a refusal names.
const NAMED: usize = 8;

/// The accounts of a host.
pub(super) struct Accounts {
    /// The most bytes that all models may hold together.
    limit: Option<u64>,
    held: Mutex<Vec<(u64, MemoryHeld)>>,
}

/// What one version holds; its drop gives that back.
pub(super) struct Holding {
    accounts: Arc<Accounts>,
    number: u64,
}

impl Accounts {
    pub(super) fn new(limit: Option<u64>) -> Arc<Self> {
        Arc::new(Self { limit, held: Mutex::default() })
    }

    /// Enters a version with so many bytes.
    ///
    /// # Errors
    /// That they would be more than the limit, and who holds how much.
    pub(super) fn enter(self: &Arc<Self>, model: &str, version: &str, bytes: u64) -> Result<Holding, String> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        self.check(&held, model, version, bytes)?;
        let number = held.last().map_or(0, |(number, _)| number + 1);
        held.push((number, MemoryHeld { model: model.to_owned(), version: version.to_owned(), bytes }));
        Ok(Holding { accounts: Arc::clone(self), number })
    }

    /// Whether there is room for so many bytes more.
    pub(super) fn fits(&self, bytes: u64) -> bool {
        let held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        self.limit.is_none_or(|limit| sum(&held).saturating_add(bytes) <= limit)
    }

    /// What everybody holds, in the order in which it was loaded.
    pub(super) fn held(&self) -> Vec<MemoryHeld> {
        let held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.iter().map(|(_, it)| it.clone()).collect()
    }

    fn check(
        &self,
        held: &[(u64, MemoryHeld)],
        model: &str,
        version: &str,
        bytes: u64,
    ) -> Result<(), String> {
        let Some(limit) = self.limit else { return Ok(()) };
        let sum = sum(held);
        if sum.saturating_add(bytes) <= limit {
            return Ok(());
        }
        let mut most: Vec<_> = held.iter().map(|(_, it)| it).collect();
        most.sort_by_key(|it| std::cmp::Reverse(it.bytes));
        let named = most.iter().take(NAMED);
        let mut named: Vec<_> =
            named.map(|it| format!("`{}` version {} {}", it.model, it.version, it.bytes)).collect();
        if most.len() > NAMED {
            named.push(format!("{} others the rest", most.len() - NAMED));
        }
        let named = if named.is_empty() { "nobody".to_owned() } else { named.join(", ") };
        Err(format!(
            "`{model}` version {version} needs {bytes} bytes of memory, and of the {limit} that --memory_limit_bytes allows \
             {sum} are held: by {named}; unload a model, or raise the limit"
        ))
    }
}

fn sum(held: &[(u64, MemoryHeld)]) -> u64 {
    held.iter().fold(0, |sum: u64, (_, it)| sum.saturating_add(it.bytes))
}

impl Holding {
    /// Says how much it is, now that it is known.
    ///
    /// # Errors
    /// As for [`Accounts::enter`]; what was entered stays until it is dropped.
    pub(super) fn settle(&self, bytes: u64) -> Result<(), String> {
        let mut held = self.accounts.held.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(at) = held.iter().position(|(number, _)| *number == self.number) else { return Ok(()) };
        let (number, mut mine) = held.remove(at);
        let outcome = self.accounts.check(&held, &mine.model, &mine.version, bytes);
        if outcome.is_ok() {
            mine.bytes = bytes;
        }
        held.insert(at, (number, mine));
        outcome
    }

    /// How much it is.
    pub(super) fn bytes(&self) -> u64 {
        let held = self.accounts.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.iter().find(|(number, _)| *number == self.number).map_or(0, |(_, it)| it.bytes)
    }
}

impl Drop for Holding {
    fn drop(&mut self) {
        let mut held = self.accounts.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.retain(|(number, _)| *number != self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_load_over_the_limit_is_refused_by_who_holds_how_much() {
        let accounts = Accounts::new(Some(100));
        let first = accounts.enter("a", "1", 60).unwrap();
        let second = accounts.enter("b", "3", 10).unwrap();
        assert_eq!(second.settle(20), Ok(()));
        let refused = accounts.enter("c", "2", 21).map(drop).unwrap_err();
        assert_eq!(
            refused,
            "`c` version 2 needs 21 bytes of memory, and of the 100 that --memory_limit_bytes allows 80 are held: by `a` \
             version 1 60, `b` version 3 20; unload a model, or raise the limit"
        );
        assert!(second.settle(41).unwrap_err().contains("60 are held: by `a` version 1 60;"));
        assert_eq!((first.bytes(), second.bytes()), (60, 20));
        drop(first);
        assert_eq!(second.settle(100), Ok(()));
        assert_eq!(accounts.held().iter().map(|it| it.bytes).collect::<Vec<_>>(), [100]);
        drop(second);
        assert_eq!(accounts.held(), []);
    }
}
