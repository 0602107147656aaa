//! Rows that wait to be written together. Pure.

use std::collections::HashSet;

/// Rows that are written at once.
const AT_ONCE: usize = 500;

/// Inputs with their lines, no two of one name.
pub struct Batch<T> {
    lines: Vec<u64>,
    inputs: Vec<T>,
    names: HashSet<String>,
}

impl<T> Batch<T> {
    pub fn new() -> Self {
        Batch { lines: Vec::new(), inputs: Vec::new(), names: HashSet::new() }
    }

    /// Whether the batch has to be written before a row of this name.
    pub fn is_full_for(&self, name: Option<&str>) -> bool {
        self.inputs.len() >= AT_ONCE || name.is_some_and(|name| self.names.contains(name))
    }

    pub fn push(&mut self, line: u64, name: String, input: T) {
        self.lines.push(line);
        self.inputs.push(input);
        self.names.insert(name);
    }

    /// Takes the lines and the inputs, in their order.
    pub fn take(&mut self) -> (Vec<u64>, Vec<T>) {
        self.names.clear();
        (std::mem::take(&mut self.lines), std::mem::take(&mut self.inputs))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_has_every_name_once_and_an_end() {
        let mut batch = Batch::new();
        batch.push(2, "a".to_owned(), 1);
        assert!(batch.is_full_for(Some("a")) && !batch.is_full_for(Some("b")) && !batch.is_full_for(None));
        assert_eq!(batch.take(), (vec![2], vec![1]));
        assert!(!batch.is_full_for(Some("a")));
        for number in 0..AT_ONCE {
            assert!(!batch.is_full_for(None));
            batch.push(0, number.to_string(), 0);
        }
        assert!(batch.is_full_for(None));
    }
}
