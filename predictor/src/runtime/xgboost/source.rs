//! What the two formats have in common: a tree of objects, arrays, strings and numbers, read by pulling.

use std::borrow::Cow;

use weir_sdk::proto::json::{Kind, Number, Reader};

use super::Fault;

/// A text or binary document. Each function fails where the document holds something else.
pub(super) trait Source<'a>: Clone {
    fn begin_object(&mut self) -> Result<(), Fault>;
    /// Goes to the next value of an object and returns its key, or `None` at its end.
    fn next_key(&mut self) -> Result<Option<Cow<'a, str>>, Fault>;
    fn begin_array(&mut self) -> Result<(), Fault>;
    /// Goes to the next element of an array; false at its end.
    fn next_element(&mut self) -> Result<bool, Fault>;
    fn string(&mut self) -> Result<Cow<'a, str>, Fault>;
    /// Reads a whole array of numbers, each rounded once.
    fn floats(&mut self) -> Result<Vec<f32>, Fault>;
    /// Reads a whole array of integers of 32 bits. Truth values count as 1 and 0: old files have them where new ones have integers.
    fn integers(&mut self) -> Result<Vec<i32>, Fault>;
    /// Reads any value and forgets it.
    fn skip(&mut self) -> Result<(), Fault>;
    /// Makes sure that the document ends here.
    fn finish(&mut self) -> Result<(), Fault>;
}

/// The text format.
#[derive(Clone)]
pub(super) struct Json<'a>(Reader<'a>, &'a [u8]);

impl<'a> Json<'a> {
    pub(super) fn new(text: &'a [u8]) -> Self {
        Self(Reader::new(text), text)
    }
}

impl Json<'_> {
    /// How many numbers the array holds that was begun, if it holds numbers alone: room for them is made once.
    fn ahead(&self) -> usize {
        let rest = self.1.get(self.0.offset()..).unwrap_or_default();
        let end = rest.iter().position(|it| *it == b']').unwrap_or(rest.len());
        rest[..end].iter().filter(|it| **it == b',').count() + 1
    }

    fn integer(&mut self) -> Result<i64, Fault> {
        if self.0.peek()? == Kind::Bool {
            return Ok(self.0.boolean()?.into());
        }
        match self.0.clone().number()? {
            Number::Int(value) => {
                self.0.number()?;
                Ok(value)
            }
            Number::Uint(_) | Number::Float(_) => Err(self.0.expected("an integer").into()),
        }
    }
}

impl<'a> Source<'a> for Json<'a> {
    fn begin_object(&mut self) -> Result<(), Fault> {
        Ok(self.0.begin_object()?)
    }

    fn next_key(&mut self) -> Result<Option<Cow<'a, str>>, Fault> {
        Ok(self.0.next_key()?)
    }

    fn begin_array(&mut self) -> Result<(), Fault> {
        Ok(self.0.begin_array()?)
    }

    fn next_element(&mut self) -> Result<bool, Fault> {
        Ok(self.0.next_element()?)
    }

    fn string(&mut self) -> Result<Cow<'a, str>, Fault> {
        Ok(self.0.string()?)
    }

    fn floats(&mut self) -> Result<Vec<f32>, Fault> {
        self.0.begin_array()?;
        let mut out = Vec::with_capacity(self.ahead());
        while self.0.next_element()? {
            out.push(self.0.float32()?);
        }
        Ok(out)
    }

    fn integers(&mut self) -> Result<Vec<i32>, Fault> {
        /// Arrays of more are read one by one, and never held in two widths.
        const MANY: usize = 1 << 16;
        self.0.begin_array()?;
        let count = self.ahead();
        let small = |it: i64| {
            i32::try_from(it)
                .map_err(|_| Fault::malformed(format!("met {it}, expected an integer of 32 bits")))
        };
        if count > MANY {
            let mut out = Vec::with_capacity(count);
            while self.0.next_element()? {
                out.push(small(self.integer()?)?);
            }
            return Ok(out);
        }
        let mut out: Vec<i64> = Vec::with_capacity(count);
        while !self.0.integers(&mut out)? && self.0.next_element()? {
            out.push(self.integer()?);
        }
        // Kept in half the memory.
        out.into_iter().map(small).collect()
    }

    fn skip(&mut self) -> Result<(), Fault> {
        Ok(self.0.skip()?)
    }

    fn finish(&mut self) -> Result<(), Fault> {
        Ok(self.0.finish()?)
    }
}
