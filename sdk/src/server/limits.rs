//! What a server takes, and what it offers: the flags, as it needs them.

use std::time::Duration;

use crate::DecodeLimits;
use crate::flags::{ModelControl, ServerFlags};

/// Limits that hold before memory is spent.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// The most bytes a body may have.
    pub max_body_bytes: usize,
    /// The most bytes a compressed body may be once it is decompressed.
    pub max_decompressed_bytes: usize,
    /// Answers of more bytes are compressed for clients that accept it; 0 for never.
    pub compress_over_bytes: usize,
    /// The most bytes a gRPC answer may have.
    pub max_send_message: usize,
    /// The most bytes a gRPC request may have.
    pub max_receive_message: usize,
    /// The most bytes that a request's line and headers may have together.
    pub max_header_bytes: u32,
    /// The most requests served at once.
    pub max_in_flight: usize,
    /// The most connections from clients at once; those of the admin port are counted by themselves, as many again.
    pub max_connections: usize,
    /// How long a connection may take from one request to the headers of the next, idle time counted. The default is beyond
    /// the 60 seconds that proxies keep an idle connection.
    pub keep_alive: Duration,
    /// How long a body may take to arrive, when its caller names no deadline that is sooner: a slow sender must not hold its
    /// place for ever.
    pub body_timeout: Duration,
    /// How long a client may take nothing of an answer that waits for it.
    pub write_timeout: Duration,
    /// The longest a gRPC stream may go without a whole request when its caller names no deadline.
    pub stream_idle: Duration,
    /// What decoding a body may cost.
    pub decode: DecodeLimits,
}

/// Beyond the minutes that a person at a prompt takes for the next request.
const STREAM_IDLE: Duration = Duration::from_secs(600);

impl From<&ServerFlags> for Limits {
    fn from(flags: &ServerFlags) -> Self {
        let max = flags.max_body_bytes;
        Self {
            max_body_bytes: max,
            max_decompressed_bytes: flags.max_decompressed_bytes.unwrap_or(max),
            compress_over_bytes: flags.compress_over_bytes,
            max_send_message: flags.grpc_max_send_message_length.unwrap_or(max),
            max_receive_message: flags.grpc_max_receive_message_length.unwrap_or(max),
            max_header_bytes: flags.max_header_bytes,
            max_in_flight: flags.max_in_flight,
            max_connections: flags.max_connections,
            keep_alive: flags.timeout_keep_alive,
            body_timeout: flags.body_timeout_seconds,
            write_timeout: flags.write_timeout_seconds,
            stream_idle: STREAM_IDLE,
            decode: DecodeLimits { depth: flags.max_json_depth.into(), elements: flags.max_tensor_elements },
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        (&ServerFlags::default()).into()
    }
}

/// What a server offers beside calls, and what it tells of them.
#[derive(Debug, Clone, Copy)]
pub struct Switches {
    /// gRPC for clients; Weir's services call each other in any case.
    pub grpc: bool,
    /// The documentation.
    pub docs: bool,
    /// A line of the log for each request, with its time.
    pub latency_log: bool,
    /// Whether clients may load and unload models.
    pub model_control: ModelControl,
}

impl From<&ServerFlags> for Switches {
    fn from(flags: &ServerFlags) -> Self {
        Self {
            grpc: flags.enable_grpc,
            docs: flags.enable_docs_url,
            latency_log: flags.enable_latency_logging,
            model_control: flags.model_control_mode,
        }
    }
}

impl Default for Switches {
    fn default() -> Self {
        (&ServerFlags::default()).into()
    }
}
