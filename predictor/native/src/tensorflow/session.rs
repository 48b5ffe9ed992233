//! A loaded SavedModel: its graph with a session over it. It runs from any number of threads at once.

use std::ffi::{CStr, CString};
use std::path::Path;
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicU64, Ordering};

use super::Failure;
use super::api::{Api, Graph, Operation, Output, RawSession};
use super::tensor::{Held, Input, Tensor};

/// How a session computes.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct SessionOptions {
    /// Threads that one operation may be split over; 0 for a thread a core. TensorFlow has one such pool in a process: the
    /// first session's number counts.
    pub intra_op: usize,
    /// Operations of one run side by side; 1 runs them on the caller's thread, 0 leaves it to TensorFlow.
    pub inter_op: usize,
    /// The one GPU that is seen; without it TensorFlow sees all, and computes on the first. The first session of a process that
    /// sees one decides for all.
    pub gpu: Option<u32>,
    /// The part of a GPU's memory that may be taken, from 0 to 1; 0 for all of it.
    pub gpu_memory_fraction: f64,
}

impl SessionOptions {
    /// A message `ConfigProto`.
    fn message(self) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut field = |tag: u8, value: i64| {
            bytes.push(tag);
            let mut rest = value.cast_unsigned();
            while rest >= 0x80 {
                bytes.push((rest & 0x7f) as u8 | 0x80);
                rest >>= 7;
            }
            bytes.push(rest as u8);
        };
        let count = |it: usize| i64::try_from(it.min(1 << 16)).unwrap_or(0);
        if self.intra_op > 0 {
            field(0x10, count(self.intra_op));
        }
        match self.inter_op {
            0 => {}
            // A pool of one thread would be shared by all callers; below nought each caller computes itself.
            1 => field(0x28, -1),
            more => {
                field(0x28, count(more));
                // Threads of its own: those of the process are as many as its first session said.
                field(0x48, 1);
            }
        }
        // What a device lacks runs on the processor.
        field(0x38, 1);
        let gpu = self.gpu_message();
        bytes.extend_from_slice(&[0x32, gpu.len() as u8]);
        bytes.extend_from_slice(&gpu);
        // Remapping is off: it makes convolutions that add, whose kernel for oneDNN keeps pointers of a run where runs side by
        // side overwrite them (`MklConvOp`, seen to end the process with 2.21).
        bytes.extend_from_slice(&[0x52, 4, 0x52, 2, 0x70, 2]);
        bytes
    }

    /// A message `GPUOptions`, of a few bytes.
    fn gpu_message(self) -> Vec<u8> {
        let mut bytes = Vec::new();
        if self.gpu_memory_fraction > 0.0 {
            bytes.push(0x09);
            bytes.extend_from_slice(&self.gpu_memory_fraction.to_le_bytes());
        }
        // Memory is taken as it is needed: other models are there as well.
        bytes.extend_from_slice(&[0x20, 1]);
        if let Some(gpu) = self.gpu {
            let seen = gpu.to_string();
            bytes.extend_from_slice(&[0x2a, seen.len() as u8]);
            bytes.extend_from_slice(seen.as_bytes());
        }
        bytes
    }
}

/// A tensor of the graph of the session with that number.
#[derive(Clone, Copy)]
pub struct Endpoint(Output, u64);

// SAFETY: it is the address of an operation, which is not touched through it, and a number.
unsafe impl Send for Endpoint {}
// SAFETY: as above.
unsafe impl Sync for Endpoint {}

static SESSIONS: AtomicU64 = AtomicU64::new(0);

/// A loaded SavedModel.
pub struct Session {
    api: &'static Api,
    session: NonNull<RawSession>,
    graph: OwnedGraph,
    /// No other session of this process has it.
    number: u64,
    /// The graph has none of TensorFlow 1's reference variables, whose memory changes while others read it.
    steady: bool,
    /// The message `MetaGraphDef` that the library read.
    meta_graph: Vec<u8>,
}

// SAFETY: TensorFlow's sessions may be run from several threads at once, and the graph is not changed once it is loaded.
unsafe impl Send for Session {}
// SAFETY: as above.
unsafe impl Sync for Session {}

struct OwnedGraph {
    api: &'static Api,
    graph: NonNull<Graph>,
}

impl Drop for OwnedGraph {
    fn drop(&mut self) {
        // SAFETY: the graph is valid, owned, and deleted once; its session is deleted before (fields are dropped after their
        // owner's `drop`).
        unsafe { (self.api.delete_graph)(self.graph.as_ptr()) };
    }
}

impl Session {
    pub(super) fn load(
        api: &'static Api,
        folder: &Path,
        tags: &[String],
        options: &SessionOptions,
    ) -> Result<Self, Failure> {
        let text = |it: &[u8]| {
            CString::new(it).map_err(|_| Failure::internal("a path or tag holds the character of code 0"))
        };
        let folder = text(folder.as_os_str().as_encoded_bytes())?;
        let tags = tags.iter().map(|it| text(it.as_bytes())).collect::<Result<Vec<_>, _>>()?;
        let tags: Vec<_> = tags.iter().map(|it| it.as_ptr()).collect();
        let none = || Failure::internal("TensorFlow has no memory left");
        // SAFETY: it takes nothing, and null is looked at.
        let graph = NonNull::new(unsafe { (api.new_graph)() }).ok_or_else(none)?;
        let graph = OwnedGraph { api, graph };
        // SAFETY: as above.
        let raw = NonNull::new(unsafe { (api.new_options)() }).ok_or_else(none)?;
        let config = options.message();
        let configured = api.checked(|status| {
            // SAFETY: options and status are valid, the bytes are as many as is said; they are parsed and not kept.
            unsafe { (api.set_config)(raw.as_ptr(), config.as_ptr().cast(), config.len(), status) };
        });
        // SAFETY: it takes nothing; a null buffer is taken by the next call as one that is not wanted.
        let buffer = unsafe { (api.new_buffer)() };
        let loaded = configured.and_then(|()| {
            api.checked(|status| {
                let count = tags.len().try_into().unwrap_or(0);
                // SAFETY: options, graph, buffer and status are valid; texts end in a nought, tags are as many as is said; all
                // of them outlive the call, which keeps none but the graph.
                unsafe {
                    (api.load_session)(
                        raw.as_ptr(),
                        ptr::null(),
                        folder.as_ptr(),
                        tags.as_ptr(),
                        count,
                        graph.graph.as_ptr(),
                        buffer,
                        status,
                    )
                }
            })
        });
        // SAFETY: deleted once, and not used after.
        unsafe { (api.delete_options)(raw.as_ptr()) };
        let mut meta_graph = Vec::new();
        if !buffer.is_null() {
            // SAFETY: the buffer is valid; its data is null, or as many bytes as it says, until it is deleted.
            unsafe {
                if loaded.is_ok() && !(*buffer).data.is_null() {
                    let bytes = std::slice::from_raw_parts((*buffer).data.cast::<u8>(), (*buffer).length);
                    meta_graph.extend_from_slice(bytes);
                }
                (api.delete_buffer)(buffer);
            }
        }
        let session = NonNull::new(loaded?).ok_or_else(|| Failure::internal("TensorFlow made no session"))?;
        let number = SESSIONS.fetch_add(1, Ordering::Relaxed);
        let mut made = Self { api, session, graph, number, steady: true, meta_graph };
        made.steady = !made.has_reference_variables();
        Ok(made)
    }

    /// Takes the message `MetaGraphDef` of what was loaded.
    pub fn take_meta_graph(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.meta_graph)
    }

    /// Returns the GPUs that the session computes on, by TensorFlow's names, such as
    /// `/job:localhost/replica:0/task:0/device:GPU:0`.
    ///
    /// # Errors
    /// TensorFlow's.
    pub fn gpus(&self) -> Result<Vec<String>, Failure> {
        let api = self.api;
        // SAFETY: session and status are valid; the list is null where that says so, and else ours.
        let list = api.checked(|status| unsafe { (api.list_devices)(self.session.as_ptr(), status) })?;
        let list =
            NonNull::new(list).ok_or_else(|| Failure::internal("TensorFlow lists no devices"))?.as_ptr();
        // SAFETY: the list is valid until it is deleted below.
        let count = unsafe { (api.devices)(list) };
        let mut gpus = Ok(Vec::new());
        for at in 0..count {
            let text = |function: super::api::DeviceText| {
                // SAFETY: the list has a device of that place, and the status is valid.
                let text = api.checked(|status| unsafe { function(list, at, status) })?;
                // SAFETY: it is null, or a text that lives as long as the list.
                Ok((!text.is_null()).then(|| unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned()))
            };
            let told = text(api.device_type).and_then(|kind| Ok((kind, text(api.device_name)?)));
            gpus = gpus.and_then(|mut gpus: Vec<String>| {
                let (kind, name) = told?;
                gpus.extend(name.filter(|_| kind.is_some_and(|it| it == "GPU")));
                Ok(gpus)
            });
        }
        // SAFETY: deleted once, and not used after.
        unsafe { (api.delete_devices)(list) };
        gpus
    }

    /// Finds a tensor by its name, such as `x:0`, and its element type, as TensorFlow numbers them.
    ///
    /// Returns `None` when the graph has none of that name.
    #[must_use]
    pub fn endpoint(&self, name: &str) -> Option<(Endpoint, i32)> {
        let (operation, index) = name.rsplit_once(':').unwrap_or((name, "0"));
        let (operation, index) = (CString::new(operation).ok()?, index.parse().ok()?);
        let graph = self.graph.graph.as_ptr();
        // SAFETY: the graph is valid, the name ends in a nought; null is looked at.
        let operation = NonNull::new(unsafe { (self.api.operation_by_name)(graph, operation.as_ptr()) })?;
        // SAFETY: the operation is one of this graph's.
        let outputs = unsafe { (self.api.outputs_of)(operation.as_ptr()) };
        if !(0..outputs).contains(&index) {
            return None;
        }
        let output = Output { operation: operation.as_ptr(), index };
        // SAFETY: the operation has an output of that index.
        let datatype = unsafe { (self.api.output_type)(output) };
        Some((Endpoint(output, self.number), datatype))
    }

    /// Computes some tensors of others.
    ///
    /// # Errors
    /// TensorFlow's: of the code 3 where shapes or values do not fit; its code for what is internal where an endpoint is another
    /// session's.
    pub fn run(
        &self,
        inputs: &[(Endpoint, Input<'_>)],
        outputs: &[Endpoint],
    ) -> Result<Vec<Tensor>, Failure> {
        // The address of another session's operation may be nobody's by now.
        if inputs.iter().map(|(end, _)| end).chain(outputs).any(|it| it.1 != self.number) {
            return Err(Failure::internal("a tensor was named of another session"));
        }
        let ends: Vec<Output> = inputs.iter().map(|(end, _)| end.0).collect();
        let held =
            inputs.iter().map(|(_, it)| Held::of(self.api, it)).collect::<Result<Vec<_>, Failure>>()?;
        let values: Vec<_> = held.iter().map(Held::pointer).collect();
        let wanted: Vec<Output> = outputs.iter().map(|it| it.0).collect();
        let mut answers = vec![ptr::null_mut(); wanted.len()];
        let count = |it: usize| it.try_into().unwrap_or(0);
        let outcome = self.api.checked(|status| {
            // SAFETY: the session is valid; endpoints are of its graph (looked at above), which lives as long; the four lists are as long as is
            // said, and outlive the call; what it leaves in `answers` is null or a tensor that is ours.
            unsafe {
                (self.api.run)(
                    self.session.as_ptr(),
                    ptr::null(),
                    ends.as_ptr(),
                    values.as_ptr(),
                    count(values.len()),
                    wanted.as_ptr(),
                    answers.as_mut_ptr(),
                    count(answers.len()),
                    ptr::null(),
                    0,
                    ptr::null_mut(),
                    status,
                );
            }
        });
        let answers: Vec<_> = answers.into_iter().map(|it| Held::owned(self.api, it)).collect();
        outcome?;
        let answers = answers.into_iter().map(|it| {
            it.ok_or_else(|| Failure::internal("TensorFlow left out an output"))?.into_tensor(self.steady)
        });
        answers.collect()
    }

    fn has_reference_variables(&self) -> bool {
        let mut at = 0;
        loop {
            // SAFETY: the graph is valid; the place is that of the call before, or nought.
            let next = unsafe { (self.api.next_operation)(self.graph.graph.as_ptr(), &raw mut at) };
            let Some(operation) = NonNull::new(next) else { return false };
            if matches!(self.type_of(operation), b"VariableV2" | b"Variable" | b"TemporaryVariable") {
                return true;
            }
        }
    }

    fn type_of(&self, operation: NonNull<Operation>) -> &[u8] {
        // SAFETY: the operation is one of this graph's, and so is the text, for as long as the graph lives.
        unsafe { CStr::from_ptr((self.api.operation_type)(operation.as_ptr())) }.to_bytes()
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let session = self.session.as_ptr();
        // What fails here is nobody's to mend: the session goes either way.
        // SAFETY: the session is valid, and nobody runs it, since this is its owner.
        let _ = self.api.checked(|status| unsafe { (self.api.close_session)(session, status) });
        // SAFETY: it is deleted once, and before its graph.
        let _ = self.api.checked(|status| unsafe { (self.api.delete_session)(session, status) });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_are_told_in_the_bytes_that_tensorflow_reads() {
        let message =
            |intra_op, inter_op| SessionOptions { intra_op, inter_op, ..SessionOptions::default() }.message();
        let rest = [0x38, 1, 0x32, 2, 0x20, 1, 0x52, 4, 0x52, 2, 0x70, 2];
        assert_eq!(message(0, 0), rest);
        assert_eq!(message(3, 2), [&[0x10, 3, 0x28, 2, 0x48, 1][..], &rest].concat());
        let minus_one = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1];
        assert_eq!(message(300, 1), [&[0x10, 0xac, 2, 0x28][..], &minus_one, &rest].concat());
    }

    #[test]
    fn a_gpu_and_its_memory_are_told_in_the_bytes_that_tensorflow_reads() {
        let options = SessionOptions { gpu: Some(12), gpu_memory_fraction: 0.5, ..SessionOptions::default() };
        let half = 0.5_f64.to_le_bytes();
        let want = [&[0x38, 1, 0x32, 15, 0x09][..], &half, &[0x20, 1, 0x2a, 2, b'1', b'2', 0x52]].concat();
        assert_eq!(options.message()[..want.len()], want);
    }
}
