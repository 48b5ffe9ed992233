//! What decoding a body may cost, beyond its bytes.

/// Limits that hold while a body is decoded, before memory is spent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DecodeLimits {
    /// How deep JSON lists and objects may be nested; at most [`json::Limits::MAX_DEPTH`](crate::json::Limits::MAX_DEPTH).
    pub depth: usize,
    /// The most elements that a tensor may have. A string counts for [`DecodeLimits::STRING`] of them, and those of all tensors
    /// of a request count together: a text of three bytes takes ten times as many here.
    pub elements: usize,
}

impl Default for DecodeLimits {
    fn default() -> Self {
        Self { depth: 64, elements: 1 << 25 }
    }
}

impl DecodeLimits {
    /// How many elements a string counts for, whatever its length.
    pub const STRING: usize = 8;

    /// The most strings.
    pub fn strings(&self) -> usize {
        self.elements / Self::STRING
    }

    /// Takes what a tensor counts for off what the rest of its request may have.
    pub fn spend(&mut self, data: &crate::Data) {
        if let crate::Data::Bytes(strings) = data {
            self.elements = self.elements.saturating_sub(strings.len() * Self::STRING);
        }
    }

    /// Checks what the shape of a tensor claims, before anything is allocated for it.
    ///
    /// # Errors
    /// `TooLarge` naming the tensor and the limit.
    pub(crate) fn check_tensor(
        &self,
        name: &str,
        count: usize,
        datatype: crate::DataType,
    ) -> Result<(), crate::Error> {
        if datatype != crate::DataType::Bytes || count <= self.strings() {
            return self.check_elements(name, count);
        }
        let message = format!("input `{name}` has {count} strings or more, the limit is {}", self.strings());
        Err(crate::Error::new(crate::Code::TooLarge, message))
    }

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
