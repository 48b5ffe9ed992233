//! The flags every service has.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::{HeaderList, seconds, switch};
use crate::server::Events;

const LISTEN: &str = "Ports and addresses";
const LIMITS: &str = "Limits";
const TRAVEL: &str = "Headers that travel";
const WATCH: &str = "What is offered and told";
const END: &str = "How it ends";

/// The flags every service has.
#[derive(Debug, Clone, Args)]
pub struct ServerFlags {
    /// The address to listen on
    #[arg(long, default_value = "0.0.0.0", help_heading = LISTEN)]
    pub host: String,
    /// The port for REST and gRPC; 0 takes a free one [default: $PORT, or 8080]
    #[arg(long = "http_port", alias = "rest_api_port", help_heading = LISTEN)]
    pub http_port: Option<u16>,
    /// A second port for REST and gRPC, where clients of KServe look for gRPC; 0 takes a free one
    #[arg(long = "grpc_port", alias = "port", default_value_t = 8081, help_heading = LISTEN)]
    pub grpc_port: u16,
    /// The port for /metrics and probes; 0 takes a free one
    #[arg(long = "admin_port", default_value_t = 8082, help_heading = LISTEN)]
    pub admin_port: u16,
    /// A Unix socket to listen on as well, for peers on this host
    #[arg(long = "unix_socket", help_heading = LISTEN)]
    pub unix_socket: Option<PathBuf>,

    /// Offer gRPC to clients; when false its methods are refused and there is no second port
    #[arg(long = "enable_grpc", default_value = "true", default_missing_value = "true", num_args = 0..=1,
          value_parser = switch, action = clap::ArgAction::Set, help_heading = WATCH)]
    pub enable_grpc: bool,
    /// Serve the documentation: /docs and /openapi.json
    #[arg(long = "enable_docs_url", default_value = "true", default_missing_value = "true", num_args = 0..=1,
          value_parser = switch, action = clap::ArgAction::Set, help_heading = WATCH)]
    pub enable_docs_url: bool,
    /// Log how long each request took, in KServe's words
    #[arg(long = "enable_latency_logging", default_value = "false", default_missing_value = "true", num_args = 0..=1,
          value_parser = switch, action = clap::ArgAction::Set, help_heading = WATCH)]
    pub enable_latency_logging: bool,
    /// Whether clients may load and unload models: `explicit` (they may), `none`, or `poll` (they may not: a repository's
    /// folders do)
    #[arg(long = "model_control_mode", default_value = "explicit", value_parser = ModelControl::read, help_heading = WATCH)]
    pub model_control_mode: ModelControl,

    /// The most bytes a request or an answer may have
    #[arg(long = "max_body_bytes", alias = "max_buffer_size", default_value_t = 104_857_600, help_heading = LIMITS)]
    pub max_body_bytes: usize,
    /// The most bytes a compressed request may be once it is decompressed [default: --max_body_bytes]
    #[arg(long = "max_decompressed_bytes", help_heading = LIMITS)]
    pub max_decompressed_bytes: Option<usize>,
    /// Compress answers of more bytes than this for clients that accept it; 0 for never
    #[arg(long = "compress_over_bytes", default_value_t = 16_384, help_heading = LIMITS)]
    pub compress_over_bytes: usize,
    /// The most bytes a gRPC answer may have [default: --max_body_bytes]
    #[arg(long = "grpc_max_send_message_length", help_heading = LIMITS)]
    pub grpc_max_send_message_length: Option<usize>,
    /// The most bytes a gRPC request may have [default: --max_body_bytes]
    #[arg(long = "grpc_max_receive_message_length", help_heading = LIMITS)]
    pub grpc_max_receive_message_length: Option<usize>,
    /// The most bytes a request's line and headers may have together
    #[arg(long = "max_header_bytes", default_value_t = 65_536,
          value_parser = clap::value_parser!(u32).range(8192..=1 << 20), help_heading = LIMITS)]
    pub max_header_bytes: u32,
    /// How deep JSON may be nested
    #[arg(long = "max_json_depth", default_value_t = 64,
          value_parser = clap::value_parser!(u16).range(1..=512), help_heading = LIMITS)]
    pub max_json_depth: u16,
    /// The most elements a tensor of a request may have
    #[arg(long = "max_tensor_elements", default_value_t = 1 << 25, help_heading = LIMITS)]
    pub max_tensor_elements: usize,
    /// The most requests served at once; more are answered 429
    #[arg(long = "max_in_flight", default_value_t = 1024, help_heading = LIMITS)]
    pub max_in_flight: usize,
    /// The most connections from clients at once; more are answered 503 and closed
    #[arg(long = "max_connections", default_value_t = 4096, help_heading = LIMITS)]
    pub max_connections: usize,
    /// How long a connection may take to its next request's last header, idle time counted
    #[arg(long = "timeout_keep_alive", default_value = "75", value_parser = seconds, help_heading = LIMITS)]
    pub timeout_keep_alive: Duration,
    /// How long a request's body may take to arrive
    #[arg(long = "body_timeout_seconds", default_value = "60", value_parser = seconds, help_heading = LIMITS)]
    pub body_timeout_seconds: Duration,
    /// How long a client may take nothing of an answer before it is given up
    #[arg(long = "write_timeout_seconds", default_value = "60", value_parser = seconds, help_heading = LIMITS)]
    pub write_timeout_seconds: Duration,

    /// More headers that travel with a request through every hop, such as `x-user, x-tenant-*`
    #[arg(long = "propagate_headers", default_value = "", hide_default_value = true, value_parser = HeaderList::to_propagate, help_heading = TRAVEL)]
    pub propagate_headers: HeaderList,
    /// Headers that do not travel, whatever else is said, such as `tracestate, b3`
    #[arg(long = "drop_headers", default_value = "", hide_default_value = true, value_parser = HeaderList::to_drop, help_heading = TRAVEL)]
    pub drop_headers: HeaderList,

    /// How long to go on serving, while not ready, after SIGTERM: until load balancers have noticed
    #[arg(long = "lame_duck_seconds", default_value_t = 5.0, help_heading = END)]
    pub lame_duck_seconds: f64,
    /// How long work in flight may take to end after that
    #[arg(long = "grace_seconds", default_value_t = 30.0, help_heading = END)]
    pub grace_seconds: f64,
    /// Drain when standard input ends: how a supervisor's children know that it is gone
    #[arg(long = "until_stdin_ends", hide = true)]
    pub until_stdin_ends: bool,
    /// How CloudEvents are answered; the environment says it, no flag does.
    #[arg(skip)]
    pub events: Events,
}

impl ServerFlags {
    /// Returns flags for free ports of the loopback interface.
    pub fn loopback() -> Self {
        Self {
            host: "127.0.0.1".to_owned(),
            http_port: Some(0),
            grpc_port: 0,
            admin_port: 0,
            lame_duck_seconds: 0.0,
            ..Self::default()
        }
    }
}

impl Default for ServerFlags {
    /// The flags of a command line that names none.
    fn default() -> Self {
        Self {
            host: "0.0.0.0".to_owned(),
            http_port: None,
            grpc_port: 8081,
            admin_port: 8082,
            unix_socket: None,
            enable_grpc: true,
            enable_docs_url: true,
            enable_latency_logging: false,
            model_control_mode: ModelControl::default(),
            max_body_bytes: 104_857_600,
            max_decompressed_bytes: None,
            compress_over_bytes: 16_384,
            grpc_max_send_message_length: None,
            grpc_max_receive_message_length: None,
            max_header_bytes: 65_536,
            max_json_depth: 64,
            max_tensor_elements: 1 << 25,
            max_in_flight: 1024,
            max_connections: 4096,
            timeout_keep_alive: Duration::from_secs(75),
            body_timeout_seconds: Duration::from_secs(60),
            write_timeout_seconds: Duration::from_secs(60),
            propagate_headers: HeaderList::default(),
            drop_headers: HeaderList::default(),
            lame_duck_seconds: 5.0,
            grace_seconds: 30.0,
            until_stdin_ends: false,
            events: Events::default(),
        }
    }
}

/// Whether clients may load and unload models, in Triton's words.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ModelControl {
    /// They may not.
    None,
    /// They may.
    #[default]
    Explicit,
    /// They may not: what is in the repository is served.
    Poll,
}

impl ModelControl {
    fn read(text: &str) -> Result<Self, String> {
        match text {
            "none" => Ok(Self::None),
            "explicit" => Ok(Self::Explicit),
            "poll" => Ok(Self::Poll),
            _ => Err("expected `explicit`, `none` or `poll`".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Launch;

    #[test]
    fn the_defaults_are_those_of_an_empty_command_line() {
        let parsed: ServerFlags = Launch::default().parse("test", "a test").unwrap();
        assert_eq!(format!("{parsed:?}"), format!("{:?}", ServerFlags::default()));
    }
}
