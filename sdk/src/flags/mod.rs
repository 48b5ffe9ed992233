//! Flags and environment. KServe starts its servers with flags of its own, appends some twice and adds more with every version:
//! so a repeated flag means the last one, dashes and underscores are one, and an unknown flag is a warning.

mod foreign;
mod headers;
mod server;
mod values;

use std::collections::BTreeMap;

use clap::{Args, Command};

pub use headers::HeaderList;
pub use server::{ModelControl, ServerFlags};
pub use values::{seconds, switch};

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
            .after_help(
                "Flags of KServe's servers, and of the others it starts, are accepted as well; docs/flags.md of the project \
                 says which of them have an effect.",
            )
            .version(env!("CARGO_PKG_VERSION"))
            .args_override_self(true)
            .no_binary_name(true);
        let known = known_args(&command, &self.args);
        A::from_arg_matches(&command.try_get_matches_from(known)?)
    }
}

/// Spells the flags as the command knows them. Those that other servers have and this one does not are left out with a word on
/// what they would have done, unknown ones with a warning.
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
        if is_known(command, &spelled) {
            known.push(value.map_or_else(|| format!("--{spelled}"), |value| format!("--{spelled}={value}")));
            continue;
        }
        let foreign = foreign::find(&spelled);
        // As Python's parse_known_args: a following word that is no flag belongs to the unknown one, unless that takes none.
        let takes_none = foreign.is_some_and(|it| it.takes_none) || value.is_some();
        let value = match rest.peek() {
            Some(next) if !takes_none && !next.starts_with('-') => rest.next().map(String::as_str),
            Some(_) | None => value,
        };
        match foreign {
            Some(flag) => flag.tell(value),
            None => tracing::warn!("unknown flag `--{name}` is ignored"),
        }
    }
    known
}

fn is_known(command: &Command, spelled: &str) -> bool {
    let has = |arg: &clap::Arg| {
        arg.get_long() == Some(spelled)
            || arg.get_all_aliases().is_some_and(|aliases| aliases.contains(&spelled))
    };
    matches!(spelled, "help" | "version") || command.get_arguments().any(has)
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
            "--enable_predictor_health_check",
            "--nobody_knows",
            "this",
            "--workers=3",
            "--grpc_port",
            "9",
        ]);
        assert_eq!((flags.http_port, flags.grpc_port), (Some(2), 9));
    }

    #[test]
    fn the_flags_of_other_servers_have_their_effect() {
        let flags = parse(&[
            "--port=9000",
            "--rest_api_port=8500",
            "--rest_api_timeout_in_ms=60000",
            "--enable_batching",
            "--max_buffer_size",
            "7",
            "--enable_grpc",
            "False",
            "--enable-latency-logging=yes",
            "--timeout-keep-alive",
            "5",
            "--grpc_max_send_message_length=8",
            "--grpc-max-receive-message-length=9",
        ]);
        assert_eq!((flags.http_port, flags.grpc_port, flags.max_body_bytes), (Some(8500), 9000, 7));
        assert_eq!((flags.enable_grpc, flags.enable_latency_logging), (false, true));
        assert_eq!(flags.timeout_keep_alive, std::time::Duration::from_secs(5));
        assert_eq!(
            (flags.grpc_max_send_message_length, flags.grpc_max_receive_message_length),
            (Some(8), Some(9))
        );
    }

    #[test]
    fn a_switch_without_a_value_is_on_and_nonsense_is_told() {
        assert!(parse(&["--enable_latency_logging"]).enable_latency_logging);
        let launch = |arg: &str| Launch { args: vec![arg.to_owned()], env: Env::default() };
        for (arg, parts) in [
            ("--enable_grpc=perhaps", &["perhaps", "true or false"][..]),
            ("--timeout_keep_alive=-1", &["-1", "seconds"]),
            ("--max_json_depth=513", &["513"]),
            ("--model_control_mode=often", &["often", "`poll`"]),
            ("--propagate_headers=te", &["`te`", "never travels"]),
        ] {
            let error = launch(arg).parse::<ServerFlags>("test", "a test").unwrap_err().to_string();
            for part in parts {
                assert!(error.contains(part), "{arg}: `{part}` is not in {error}");
            }
        }
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
