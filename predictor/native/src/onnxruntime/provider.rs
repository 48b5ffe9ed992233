//! Who computes a session's operations: the processor, or a GPU by one of ONNX Runtime's providers, which are libraries of their
//! own beside it.

use std::ffi::CString;
use std::ptr;

use super::Failure;
use super::api::{Api, SessionOptions as RawOptions, listening};

/// An execution provider that is asked for, with its options as ONNX Runtime names them, such as `device_id`. The processor
/// computes what none of them can, and is not asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Provider {
    /// NVIDIA's GPUs by CUDA.
    Cuda(Vec<(String, String)>),
    /// NVIDIA's GPUs by TensorRT.
    TensorRt(Vec<(String, String)>),
}

impl Provider {
    const fn title(&self) -> &'static str {
        match self {
            Self::Cuda(_) => "CUDA",
            Self::TensorRt(_) => "TensorRT",
        }
    }

    /// Asks for it. Where it cannot be had that is an error: a model for a GPU does not go to the processor in silence.
    ///
    /// # Safety
    /// The options of the session are valid.
    pub(super) unsafe fn append(&self, api: &Api, session: *mut RawOptions) -> Result<(), Failure> {
        // SAFETY: the caller's promise.
        let (outcome, said) = listening(|| unsafe { self.try_append(api, session) });
        outcome.map_err(|failure| {
            // The reason, such as a library that is missing, may only be said, and stands behind the place in the code.
            let mut reasons = vec![reason(&failure.message)];
            for text in said.iter().map(|it| reason(it)) {
                if !reasons.iter().any(|it| it.contains(text)) {
                    reasons.push(text);
                }
            }
            let mut message = format!("the {} provider is not here: {}", self.title(), reasons.join("; "));
            if message.contains("not enabled in this build") {
                message.push_str("; get one with it by `pip install onnxruntime-gpu`");
            }
            Failure { code: failure.code, message }
        })
    }

    /// # Safety
    /// The options of the session are valid.
    unsafe fn try_append(&self, api: &Api, session: *mut RawOptions) -> Result<(), Failure> {
        let (options, create, update, append, release) = match self {
            Self::Cuda(it) => (it, api.create_cuda, api.update_cuda, api.append_cuda, api.release_cuda),
            Self::TensorRt(it) => {
                (it, api.create_tensorrt, api.update_tensorrt, api.append_tensorrt, api.release_tensorrt)
            }
        };
        let text = |it: &str| {
            CString::new(it).map_err(|_| Failure::other("an option holds the character of code 0"))
        };
        let keys = options.iter().map(|(key, _)| text(key)).collect::<Result<Vec<_>, _>>()?;
        let values = options.iter().map(|(_, value)| text(value)).collect::<Result<Vec<_>, _>>()?;
        let keys_at: Vec<_> = keys.iter().map(|it| it.as_ptr()).collect();
        let values_at: Vec<_> = values.iter().map(|it| it.as_ptr()).collect();
        let mut provider = ptr::null_mut();
        // SAFETY: the place is valid; the provider's options are valid until they are released, once; both lists are as long as
        // is said and are copied; the session's options are valid by the caller's promise.
        unsafe {
            api.checked(create(&raw mut provider))?;
            let mut outcome = Ok(());
            if !options.is_empty() {
                let (keys, values) = (keys_at.as_ptr(), values_at.as_ptr());
                outcome = api.checked(update(provider, keys, values, options.len()));
            }
            let outcome = outcome.and_then(|()| api.checked(append(session, provider)));
            release(provider);
            outcome
        }
    }
}

/// What a text of the library says behind its place in the library's code and its code's name.
fn reason(text: &str) -> &str {
    text.split_once(" : FAIL : ").map_or(text, |(_, reason)| reason).trim().trim_end_matches('.')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reason_is_told_without_the_place_in_the_code() {
        let text = "/src/bridge.cc:2043 Provider& Get() [ONNXRuntimeError] : 1 : FAIL : Failed to load library x.so\n";
        assert_eq!(reason(text), "Failed to load library x.so");
        assert_eq!(reason("CUDA is not enabled"), "CUDA is not enabled");
    }
}
