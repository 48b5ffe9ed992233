//! What decoding a body may cost, beyond its bytes.

/// Limits that hold while a body is decoded, before memory is spent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DecodeLimits {
    /// How deep JSON lists and objects may be nested; at most [`json::Limits::MAX_DEPTH`](crate::json::Limits::MAX_DEPTH).
    pub depth: usize,
    /// The most elements that a tensor may have.
    pub elements: usize,
}

impl Default for DecodeLimits {
    fn default() -> Self {
        Self { depth: 64, elements: 1 << 25 }
    }
}

impl DecodeLimits {
    /// Checks what a shape claims, before anything is allocated for it.
    ///
    /// # Errors
    /// `TooLarge` naming the tensor and the limit.
    pub fn check_elements(&self, name: &str, count: usize) -> Result<(), crate::Error> {
        if count <= self.elements {
            return Ok(());
        }
        let message = format!("input `{name}` has {count} elements or more, the limit is {}", self.elements);
        Err(crate::Error::new(crate::Code::TooLarge, message))
    }
}
