//! ONNX Runtime's C library: a model file as a session that takes and gives tensors. The library is opened when the first model
//! needs it and stays open: it cannot be closed once it has threads.

mod api;
mod kind;
mod provider;
mod session;
mod value;

use std::path::Path;
use std::sync::Arc;

use crate::opened::Opened;
use crate::{Search, Wanted};

use self::api::Api;
pub use self::kind::Kind;
pub use self::provider::Provider;
pub use self::session::{Endpoint, Session, SessionOptions};
pub use self::value::{Elements, Input, Tensor, Value};

/// Where the library is looked for: the wheel for processors, and that for GPUs, lie in the same folder.
pub const WANTED: Wanted = Wanted {
    title: "ONNX Runtime",
    files: &["libonnxruntime.so"],
    variable: "ORT_DYLIB_PATH",
    wheel_folders: &["onnxruntime/capi"],
    system_folders: &[],
    install: "pip install onnxruntime",
};

/// What ONNX Runtime refused or failed at.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    /// ONNX Runtime's code (`OrtErrorCode`), such as 2 for an invalid argument.
    pub code: i32,
    /// Its own text.
    pub message: String,
}

impl Failure {
    /// ONNX Runtime's number for an invalid argument.
    pub const INVALID_ARGUMENT: i32 = 2;
    const FAIL: i32 = 1;

    fn other(message: impl Into<String>) -> Self {
        Self { code: Self::FAIL, message: message.into() }
    }
}

/// The opened library.
#[derive(Clone, Copy)]
pub struct Library {
    api: &'static Api,
}

static OPENED: Opened<Api> = Opened::new();

impl Library {
    /// Finds the library and opens it, unless it is open. `pool` is how many threads an operation gets in the pool that all
    /// sessions of that many share; the first to open it decides.
    ///
    /// # Errors
    /// A text that says where it was looked for, or why the file found could not be used.
    pub fn of(search: &Search, pool: usize) -> Result<Self, String> {
        let path = WANTED.find(search).map_err(|error| error.to_string())?;
        Self::open(&path, pool)
    }

    /// Opens the library in a file. A process has one ONNX Runtime: a second file is refused.
    ///
    /// # Errors
    /// What the system's linker says, or that the file is no ONNX Runtime from 1.17 on.
    pub fn open(path: &Path, pool: usize) -> Result<Self, String> {
        OPENED.once("ONNX Runtime", path, |path| Api::open(path, pool.max(1))).map(|api| Self { api })
    }

    /// Returns the version, such as `1.32.0`.
    #[must_use]
    pub fn version(&self) -> &'static str {
        self.api.version()
    }

    /// Loads a model file, and what it keeps in files beside it.
    ///
    /// # Errors
    /// ONNX Runtime's, and where a provider cannot be had, what it misses.
    pub fn load(&self, file: &Path, options: &SessionOptions) -> Result<Arc<Session>, Failure> {
        Session::load(self.api, file, options)
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    /// The library; `None`, with the reason printed, where there is none.
    fn library() -> Option<Library> {
        let found = Library::of(&Search::of_process(std::env::vars()), 1);
        found.inspect_err(|reason| println!("skipped: {reason}")).ok()
    }

    fn load(library: Library, name: &str, options: &SessionOptions) -> Result<Arc<Session>, Failure> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../testdata/onnxruntime");
        library.load(&folder.join(name), options)
    }

    fn one_thread() -> SessionOptions {
        SessionOptions { intra_op: 1, providers: Vec::new() }
    }

    fn floats(values: &[f32]) -> Vec<u8> {
        values.iter().flat_map(|it| it.to_le_bytes()).collect()
    }

    fn numbers(value: &Value) -> &Bytes {
        let Value::Tensor(Tensor::Numbers { bytes, .. }) = value else { panic!("{value:?} is no numbers") };
        bytes
    }

    #[test]
    fn sums_are_right_from_many_threads_and_outlive_their_session() {
        let Some(library) = library() else { return };
        let mut kept = Vec::new();
        for intra_op in [1, 2] {
            let session = load(library, "adder.onnx", &SessionOptions { intra_op, ..one_thread() }).unwrap();
            assert_eq!(session.inputs().len(), 2);
            let Kind::Tensor { datatype: 1, shape, names } = &session.inputs()[0].kind else { panic!() };
            assert_eq!(
                (shape.as_slice(), names[0].as_str(), names[1].as_str()),
                ([-1, 3].as_slice(), "n", "")
            );
            std::thread::scope(|scope| {
                for thread in 0..8_u8 {
                    let session = &session;
                    scope.spawn(move || {
                        for round in 0..200_u8 {
                            let (a, b) = (f32::from(thread), f32::from(round));
                            let (x, y) = (floats(&[a, 1.0, -2.0]), floats(&[b, b, 0.5]));
                            let input = |bytes| Input {
                                datatype: 1,
                                shape: &[1, 3],
                                elements: Elements::Numbers(bytes),
                            };
                            let answers = session.run(&[input(&x), input(&y)], &[1, 0]).unwrap();
                            assert_eq!(
                                numbers(&answers[0]),
                                &floats(&[2.0 * (a + b), 2.0 * (1.0 + b), -3.0])
                            );
                            assert_eq!(numbers(&answers[1]), &floats(&[a + b, 1.0 + b, -1.5]));
                        }
                    });
                }
            });
            let x = floats(&[0.0; 3]);
            let input = Input { datatype: 1, shape: &[1, 3], elements: Elements::Numbers(&x) };
            kept.push(session.run(&[input, input], &[2]).unwrap());
        }
        for answer in kept {
            // A constant is the session's memory, which is gone but for this.
            assert_eq!(numbers(&answer[0]), &floats(&[2.0]));
        }
    }

    #[test]
    fn strings_go_through_whole_and_shapes_that_lie_are_refused() {
        let Some(library) = library() else { return };
        let session = load(library, "types.onnx", &one_thread()).unwrap();
        let texts = [Bytes::from_static(b"a\0b"), Bytes::new(), Bytes::from_static(b"\xff\xfe")];
        let zeros = [0_u8; 24];
        let types = [
            (9, 1),
            (2, 1),
            (4, 2),
            (12, 4),
            (13, 8),
            (3, 1),
            (5, 2),
            (6, 4),
            (7, 8),
            (10, 2),
            (16, 2),
            (1, 4),
            (11, 8),
        ];
        let mut inputs: Vec<_> = types
            .iter()
            .map(|&(datatype, size)| Input {
                datatype,
                shape: &[3],
                elements: Elements::Numbers(&zeros[..3 * size]),
            })
            .collect();
        inputs.push(Input { datatype: 8, shape: &[3], elements: Elements::Strings(&texts) });
        let all: Vec<_> = (0..14).collect();
        let answers = session.run(&inputs, &all).unwrap();
        let want = Value::Tensor(Tensor::Strings { shape: vec![3], texts: texts.to_vec() });
        assert_eq!(answers[13], want);
        // Passed through, it is a copy: what was lent is not kept.
        assert!(!zeros.as_ptr_range().contains(&numbers(&answers[8]).as_ptr()));
        for wrong in [
            Input { datatype: 8, shape: &[2], elements: Elements::Strings(&texts) },
            Input { datatype: 8, shape: &[3], elements: Elements::Numbers(&zeros) },
            Input { datatype: 1, shape: &[usize::MAX, 2], elements: Elements::Numbers(&zeros) },
            Input { datatype: 1, shape: &[5], elements: Elements::Numbers(&zeros) },
        ] {
            inputs[13] = wrong;
            assert_eq!(session.run(&inputs, &all).unwrap_err().code, Failure::INVALID_ARGUMENT);
        }
        assert_eq!(session.run(&inputs[..2], &all).unwrap_err().code, Failure::INVALID_ARGUMENT);
        inputs[13] = Input { datatype: 8, shape: &[3], elements: Elements::Strings(&texts) };
        assert_eq!(session.run(&inputs, &[14]).unwrap_err().code, Failure::INVALID_ARGUMENT);
    }

    #[test]
    fn maps_come_with_their_keys_and_lists_with_their_elements() {
        let Some(library) = library() else { return };
        let session = load(library, "classifier.onnx", &one_thread()).unwrap();
        let x = floats(&[1.0, 2.0, 3.0, -1.0]);
        let input = Input { datatype: 1, shape: &[2, 2], elements: Elements::Numbers(&x) };
        let answers = session.run(&[input], &[1]).unwrap();
        let Value::Sequence(rows) = &answers[0] else { panic!("{answers:?}") };
        let Value::Map(Tensor::Strings { texts, .. }, Tensor::Numbers { bytes, .. }) = &rows[0] else {
            panic!("{rows:?}")
        };
        assert_eq!(
            (rows.len(), texts.as_slice()),
            (2, ["maple", "setosa", "virginica"].map(Bytes::from).as_slice())
        );
        assert_eq!(bytes.len(), 12);
        let session = load(library, "sequence.onnx", &one_thread()).unwrap();
        let input = Input { datatype: 1, shape: &[4], elements: Elements::Numbers(&x) };
        let answers = session.run(&[input], &[0]).unwrap();
        let Value::Sequence(parts) = &answers[0] else { panic!("{answers:?}") };
        assert_eq!((parts.len(), numbers(&parts[1]).as_ref()), (2, x.as_slice()));
    }

    #[test]
    fn what_it_cannot_load_or_have_is_told_in_its_own_words() {
        let Some(library) = library() else { return };
        let text = load(library, "sparse.onnx", &one_thread()).err().unwrap().message;
        assert!(text.contains("complex64"), "{text}");
        let text = load(library, "make.py", &one_thread()).err().unwrap().message;
        assert!(text.contains("Protobuf"), "{text}");
        for provider in
            [Provider::Cuda(Vec::new()), Provider::TensorRt(vec![("device_id".into(), "0".into())])]
        {
            let options = SessionOptions { providers: vec![provider], ..one_thread() };
            match load(library, "adder.onnx", &options) {
                Ok(_) => println!("skipped: this machine has what the provider needs"),
                Err(failure) => assert!(failure.message.contains("provider is not here: "), "{failure}"),
            }
        }
        let text = Library::open(Path::new("/nowhere/libonnxruntime.so"), 1).err().unwrap();
        assert!(text.contains("a process has one ONNX Runtime"), "{text}");
    }
}
