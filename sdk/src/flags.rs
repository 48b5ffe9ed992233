//! Flags and environment. KServe starts its servers with flags of its own, appends some twice and adds more with every version:
//! so a repeated flag means the last one, dashes and underscores are one, and an unknown flag is a warning.

use std::collections::BTreeMap;

use clap::{Args, Command};

/// The environment a service is built in: passed in, so that several services live in one process.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Env(BTreeMap<String, String>);

impl Env {
    /// Returns the process's environment.
    pub fn of_process() -> Self {
        // Names and values that are not text mean nothing to any service here.
        let text = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        };
        Self(std::env::vars_os().filter_map(text).collect())
    }

    /// Returns a variable.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// Returns every variable, in the order of the names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

impl<K: Into<String>, V: Into<String>> FromIterator<(K, V)> for Env {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(pairs: I) -> Self {
        Self(pairs.into_iter().map(|(name, value)| (name.into(), value.into())).collect())
    }
}

/// Reads a truth as Python's `strtobool` does.
pub fn truth(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "y" | "yes" | "t" | "true" | "on" | "1" => Some(true),
        "n" | "no" | "f" | "false" | "off" | "0" => Some(false),
        _ => None,
    }
}

fn parse_truth(text: &str) -> Result<bool, &'static str> {
    truth(text).ok_or("expected true or false")
}

/// What a service is started with.
#[derive(Debug, Clone, Default)]
pub struct Launch {
    /// The arguments, without the program's name.
    pub args: Vec<String>,
    /// The environment.
    pub env: Env,
}

impl Launch {
    /// Returns the process's own arguments and environment.
    pub fn of_process() -> Self {
        Self { args: std::env::args().skip(1).collect(), env: Env::of_process() }
    }

    /// Reads the arguments as `A`. `about` is the first line of the help.
    ///
    /// # Errors
    /// clap's error, which also carries the text of `--help` and `--version`.
    pub fn parse<A: Args>(&self, name: &'static str, about: &'static str) -> Result<A, clap::Error> {
        let command = A::augment_args(Command::new(name))
            .about(about)
            .version(env!("CARGO_PKG_VERSION"))
            .args_override_self(true)
            .no_binary_name(true);
        let known = known_args(&command, &self.args);
        A::from_arg_matches(&command.try_get_matches_from(known)?)
    }
}

/// Spells the flags as the command knows them and leaves out those it does not know, with a warning.
fn known_args(command: &Command, args: &[String]) -> Vec<String> {
    let mut known = Vec::with_capacity(args.len());
    let mut rest = args.iter().peekable();
    while let Some(arg) = rest.next() {
        let Some(flag) = arg.strip_prefix("--").filter(|it| !it.is_empty()) else {
            known.push(arg.clone());
            continue;
        };
        let (name, value) = flag.split_once('=').map_or((flag, None), |(name, value)| (name, Some(value)));
        let spelled = name.replace('-', "_");
        let is_known = matches!(name, "help" | "version")
            || command.get_arguments().any(|it| it.get_long().is_some_and(|long| long == spelled));
        if is_known {
            known.push(value.map_or_else(|| format!("--{spelled}"), |value| format!("--{spelled}={value}")));
            continue;
        }
        tracing::warn!("unknown flag `--{name}` is ignored");
        // As Python's parse_known_args: a following word that is no flag belongs to the unknown one.
        if value.is_none() && rest.peek().is_some_and(|next| !next.starts_with('-')) {
            rest.next();
        }
    }
    known
}

/// The flags every service has.
#[derive(Debug, Clone, Args)]
pub struct ServerFlags {
    /// The address to listen on
    #[arg(long, default_value = "0.0.0.0")]
    pub host: String,
    /// The port for REST and gRPC; 0 takes a free one [default: $PORT, or 8080]
    #[arg(long = "http_port")]
    pub http_port: Option<u16>,
    /// A second port for REST and gRPC, where clients of KServe look for gRPC; 0 takes a free one
    #[arg(long = "grpc_port", default_value_t = 8081)]
    pub grpc_port: u16,
    /// The port for /metrics and probes; 0 takes a free one
    #[arg(long = "admin_port", default_value_t = 8082)]
    pub admin_port: u16,
    /// A Unix socket to listen on as well, for peers on this host
    #[arg(long = "unix_socket")]
    pub unix_socket: Option<std::path::PathBuf>,
    /// The most bytes a request or an answer may have
    #[arg(long = "max_body_bytes", default_value_t = 104_857_600)]
    pub max_body_bytes: usize,
    /// The most requests served at once; more are answered 429
    #[arg(long = "max_in_flight", default_value_t = 1024)]
    pub max_in_flight: usize,
    /// Serve the documentation: /docs and /openapi.json
    #[arg(long = "enable_docs_url", default_value = "true", value_name = "TRUTH", value_parser = parse_truth, action = clap::ArgAction::Set)]
    pub enable_docs_url: bool,
    /// How long to go on serving, while not ready, after SIGTERM: until load balancers have noticed
    #[arg(long = "lame_duck_seconds", default_value_t = 5.0)]
    pub lame_duck_seconds: f64,
    /// How long work in flight may take to end after that
    #[arg(long = "grace_seconds", default_value_t = 30.0)]
    pub grace_seconds: f64,
    /// Drain when standard input ends: how a supervisor's children know that it is gone
    #[arg(long = "until_stdin_ends", hide = true)]
    pub until_stdin_ends: bool,
}

impl ServerFlags {
    /// Returns flags for free ports of the loopback interface.
    pub fn loopback() -> Self {
        Self {
            host: "127.0.0.1".to_owned(),
            http_port: Some(0),
            grpc_port: 0,
            admin_port: 0,
            unix_socket: None,
            max_body_bytes: 104_857_600,
            max_in_flight: 1024,
            enable_docs_url: true,
            lame_duck_seconds: 0.0,
            grace_seconds: 30.0,
            until_stdin_ends: false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(args: &[&str]) -> ServerFlags {
        let launch = Launch { args: args.iter().map(|&it| it.to_owned()).collect(), env: Env::default() };
        launch.parse("test", "a test").unwrap()
    }

    #[test]
    fn the_last_of_a_repeated_flag_counts_and_unknown_ones_are_ignored() {
        let flags = parse(&[
            "--http_port=1",
            "--nthread",
            "4",
            "--http-port",
            "2",
            "--workers=3",
            "--grpc_port",
            "9",
        ]);
        assert_eq!((flags.http_port, flags.grpc_port), (Some(2), 9));
    }

    #[test]
    fn a_wrong_value_is_an_error() {
        for arg in ["--http_port=x", "--enable_docs_url=maybe"] {
            let launch = Launch { args: vec![arg.to_owned()], env: Env::default() };
            assert!(launch.parse::<ServerFlags>("test", "a test").is_err(), "{arg}");
        }
        assert!(!parse(&["--enable-docs-url", "False"]).enable_docs_url && parse(&[]).enable_docs_url);
    }

    #[test]
    fn truths_are_pythons() {
        assert_eq!(
            [truth("Yes"), truth("1"), truth("off"), truth("2")],
            [Some(true), Some(true), Some(false), None]
        );
    }
}
