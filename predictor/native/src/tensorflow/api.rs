//! The functions of TensorFlow's C library (`tensorflow/c/c_api.h`) that are used here, looked up once when it is opened.

use std::ffi::{CStr, c_char, c_int, c_void};
use std::path::Path;
use std::ptr::NonNull;

use super::Failure;
use crate::opened::{self, opaque};

opaque! { DeviceList Graph Operation RawSession RawTensor RawSessionOptions Status TString }

/// `TF_Output`: one output of an operation.
#[repr(C)]
#[derive(Clone, Copy)]
pub(super) struct Output {
    pub(super) operation: *mut Operation,
    pub(super) index: c_int,
}

/// `TF_Buffer`.
#[repr(C)]
pub(super) struct Buffer {
    pub(super) data: *const c_void,
    pub(super) length: usize,
    deallocator: Option<unsafe extern "C" fn(*mut c_void, usize)>,
}

/// `TF_STRING`.
pub(super) const STRING: c_int = 7;
/// `sizeof(TF_TString)`, since TensorFlow 2.4.
pub(super) const STRING_SIZE: usize = 24;

/// What TensorFlow calls when it needs a tensor's memory no more.
pub(super) type Deallocator = unsafe extern "C" fn(*mut c_void, usize, *mut c_void);

/// A text of a device in a list.
pub(super) type DeviceText = unsafe extern "C" fn(*const DeviceList, c_int, *mut Status) -> *const c_char;

/// Declares the table of functions, each with its name in the library.
macro_rules! functions {
    ($($field:ident = $name:literal: fn($($argument:ty),*) $(-> $result:ty)?;)*) => {
        pub(super) struct Api {
            $(pub(super) $field: unsafe extern "C" fn($($argument),*) $(-> $result)?,)*
            /// The functions are its: it is never closed.
            _library: libloading::Library,
        }

        impl Api {
            /// Opens the file and finds every function.
            pub(super) fn open(path: &Path) -> Result<Self, String> {
                let library = opened::open(path)?;
                $(
                    // SAFETY: the type is that of the function's declaration in TensorFlow's header `c_api.h`, whose
                    // functions do not change within version 2.
                    let $field = *unsafe { library.get(concat!($name, "\0").as_bytes()) }
                        .map_err(|_| format!("{} has no function {}: it is no TensorFlow from 2.4 on", path.display(), $name))?;
                )*
                Ok(Self { $($field,)* _library: library })
            }
        }
    };
}

functions! {
    version_text = "TF_Version": fn() -> *const c_char;
    new_status = "TF_NewStatus": fn() -> *mut Status;
    delete_status = "TF_DeleteStatus": fn(*mut Status);
    get_code = "TF_GetCode": fn(*const Status) -> c_int;
    message = "TF_Message": fn(*const Status) -> *const c_char;
    new_buffer = "TF_NewBuffer": fn() -> *mut Buffer;
    delete_buffer = "TF_DeleteBuffer": fn(*mut Buffer);
    new_graph = "TF_NewGraph": fn() -> *mut Graph;
    delete_graph = "TF_DeleteGraph": fn(*mut Graph);
    operation_by_name = "TF_GraphOperationByName": fn(*mut Graph, *const c_char) -> *mut Operation;
    next_operation = "TF_GraphNextOperation": fn(*mut Graph, *mut usize) -> *mut Operation;
    operation_type = "TF_OperationOpType": fn(*mut Operation) -> *const c_char;
    outputs_of = "TF_OperationNumOutputs": fn(*mut Operation) -> c_int;
    output_type = "TF_OperationOutputType": fn(Output) -> c_int;
    new_options = "TF_NewSessionOptions": fn() -> *mut RawSessionOptions;
    set_config = "TF_SetConfig": fn(*mut RawSessionOptions, *const c_void, usize, *mut Status);
    delete_options = "TF_DeleteSessionOptions": fn(*mut RawSessionOptions);
    load_session = "TF_LoadSessionFromSavedModel": fn(
        *const RawSessionOptions, *const Buffer, *const c_char, *const *const c_char, c_int, *mut Graph, *mut Buffer,
        *mut Status
    ) -> *mut RawSession;
    list_devices = "TF_SessionListDevices": fn(*mut RawSession, *mut Status) -> *mut DeviceList;
    devices = "TF_DeviceListCount": fn(*const DeviceList) -> c_int;
    device_name = "TF_DeviceListName": fn(*const DeviceList, c_int, *mut Status) -> *const c_char;
    device_type = "TF_DeviceListType": fn(*const DeviceList, c_int, *mut Status) -> *const c_char;
    delete_devices = "TF_DeleteDeviceList": fn(*mut DeviceList);
    close_session = "TF_CloseSession": fn(*mut RawSession, *mut Status);
    delete_session = "TF_DeleteSession": fn(*mut RawSession, *mut Status);
    run = "TF_SessionRun": fn(
        *mut RawSession, *const Buffer, *const Output, *const *mut RawTensor, c_int, *const Output, *mut *mut RawTensor,
        c_int, *const *const Operation, c_int, *mut Buffer, *mut Status
    );
    allocate_tensor = "TF_AllocateTensor": fn(c_int, *const i64, c_int, usize) -> *mut RawTensor;
    new_tensor = "TF_NewTensor": fn(
        c_int, *const i64, c_int, *mut c_void, usize, Deallocator, *mut c_void
    ) -> *mut RawTensor;
    delete_tensor = "TF_DeleteTensor": fn(*mut RawTensor);
    tensor_type = "TF_TensorType": fn(*const RawTensor) -> c_int;
    dimensions = "TF_NumDims": fn(*const RawTensor) -> c_int;
    dimension = "TF_Dim": fn(*const RawTensor, c_int) -> i64;
    tensor_data = "TF_TensorData": fn(*const RawTensor) -> *mut c_void;
    tensor_bytes = "TF_TensorByteSize": fn(*const RawTensor) -> usize;
    string_init = "TF_StringInit": fn(*mut TString);
    string_copy = "TF_StringCopy": fn(*mut TString, *const c_char, usize);
    string_data = "TF_StringGetDataPointer": fn(*const TString) -> *const c_char;
    string_size = "TF_StringGetSize": fn(*const TString) -> usize;
    string_free = "TF_StringDealloc": fn(*mut TString);
}

impl Api {
    pub(super) fn version(&self) -> String {
        // SAFETY: it returns a text that lives as long as the library.
        let text = unsafe { CStr::from_ptr((self.version_text)()) };
        text.to_string_lossy().into_owned()
    }

    /// Calls a function that tells its outcome in a status.
    pub(super) fn checked<T>(&self, call: impl FnOnce(*mut Status) -> T) -> Result<T, Failure> {
        // SAFETY: a new status is a valid one, or null where there is no memory, which is looked at.
        let status = NonNull::new(unsafe { (self.new_status)() })
            .ok_or_else(|| Failure::internal("TensorFlow has no memory left"))?;
        let value = call(status.as_ptr());
        // SAFETY: the status is valid until it is deleted below.
        let code = unsafe { (self.get_code)(status.as_ptr()) };
        let outcome = if code == 0 {
            Ok(value)
        } else {
            // SAFETY: the text of a valid status is a C string that lives as long as the status.
            let message = unsafe { CStr::from_ptr((self.message)(status.as_ptr())) };
            Err(Failure { code, message: message.to_string_lossy().into_owned() })
        };
        // SAFETY: it is deleted once, and not used after.
        unsafe { (self.delete_status)(status.as_ptr()) };
        outcome
    }
}
