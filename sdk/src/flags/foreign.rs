//! The flags of other servers that have no effect here: KServe starts its images with them, so they are no mistake.

/// A flag of KServe's Python server, TensorFlow Serving or MLServer without a meaning here.
pub(super) struct Foreign {
    name: &'static str,
    /// It is on by being there; a word after it is not its value.
    pub(super) takes_none: bool,
    /// Why what it asks for will not happen; empty where nobody can notice.
    why: &'static str,
    /// Values that ask for what happens anyway.
    quiet: &'static [&'static str],
}

impl Foreign {
    /// Says why the flag has no effect, where it asks for something.
    pub(super) fn tell(&self, value: Option<&str>) {
        let value = value.unwrap_or("true");
        if self.asks(value) {
            tracing::info!("flag `--{}={value}` has no effect: {}", self.name, self.why);
        } else {
            tracing::debug!("flag `--{}={value}` has no meaning here", self.name);
        }
    }

    fn asks(&self, value: &str) -> bool {
        !self.why.is_empty() && !self.quiet.iter().any(|it| it.eq_ignore_ascii_case(value))
    }
}

/// Returns the flag of that name, written with underscores.
pub(super) fn find(name: &str) -> Option<&'static Foreign> {
    FOREIGN.iter().find(|it| it.name == name)
}

const fn silent(name: &'static str) -> Foreign {
    Foreign { name, takes_none: false, why: "", quiet: &[] }
}

const fn flag(name: &'static str, why: &'static str, quiet: &'static [&'static str]) -> Foreign {
    Foreign { name, takes_none: false, why, quiet }
}

const fn switch(name: &'static str, why: &'static str) -> Foreign {
    Foreign { name, takes_none: true, why, quiet: FALSE }
}

const FALSE: &[&str] = &["n", "no", "f", "false", "off", "0", ""];
const PROCESS: &str =
    "one process serves with every core; `--max_in_flight` bounds it, and a predictor has `--threads`";
const LOGS: &str = "the log is set by WEIR_LOG and WEIR_LOG_FORMAT";
const ROUTER_ASKS: &str = "the router alone asks the predictor";
const PLAIN: &str = "connections are plain here; let a proxy or a service mesh encrypt them";
const NO_BATCHES: &str = "the predictor alone puts requests together, and all of a model alike";
const TENSORFLOW: &str = "TensorFlow's library runs as it comes, but for the number of its threads";

/// A service that has one of these as a flag of its own reads it first.
static FOREIGN: &[Foreign] = &[
    // KServe's Python server.
    flag("workers", PROCESS, &["1"]),
    flag("max_threads", PROCESS, &["4"]),
    flag("max_asyncio_workers", PROCESS, &["None", ""]),
    silent("event_loop"),
    silent("configure_logging"),
    flag("log_config_file", LOGS, &["None", ""]),
    flag("access_log_format", LOGS, &["None", ""]),
    silent("model_name"),
    silent("model_dir"),
    silent("predictor_host"),
    silent("protocol"),
    flag(
        "predictor_protocol",
        "services speak a protocol of their own with each other",
        &["v1", "v2", "grpc-v2"],
    ),
    flag("predictor_use_ssl", PLAIN, FALSE),
    silent("predictor_request_timeout_seconds"),
    flag(
        "predictor_request_retries",
        "a call is sent again only when the first never left, or the peer refused it unseen",
        &["0"],
    ),
    switch("enable_predictor_health_check", ROUTER_ASKS),
    flag("nthread", "a prediction is made on one thread; `--threads` says how many are made at once", &["1"]),
    flag("model_class_name", "no Python class is loaded", &[""]),
    silent("framework"),
    // TensorFlow Serving.
    silent("model_base_path"),
    flag(
        "rest_api_timeout_in_ms",
        "a request's time is told by its caller, or by the router's route",
        &["30000"],
    ),
    flag("rest_api_num_threads", PROCESS, &[]),
    switch("rest_api_enable_cors_support", "a browser asks through a proxy of yours"),
    flag("grpc_max_threads", PROCESS, &[]),
    flag(
        "grpc_channel_arguments",
        "gRPC's own limits are flags here, see docs/limits.md of the project",
        &[""],
    ),
    flag("grpc_socket_path", "name a socket by `--unix_socket`", &[""]),
    flag("ssl_config_file", PLAIN, &[""]),
    silent("model_config_file"),
    silent("model_config_file_poll_wait_seconds"),
    silent("file_system_poll_wait_seconds"),
    switch(
        "allow_version_labels_for_unavailable_models",
        "labels name versions whether they are served or not",
    ),
    switch("enable_batching", NO_BATCHES),
    flag("batching_parameters_file", NO_BATCHES, &[""]),
    switch("enable_per_model_batching_parameters", NO_BATCHES),
    flag("monitoring_config_file", "metrics are at /metrics of the admin port", &[""]),
    silent("max_num_load_retries"),
    silent("load_retry_interval_micros"),
    silent("num_load_threads"),
    silent("num_unload_threads"),
    Foreign { name: "flush_filesystem_caches", takes_none: true, why: "", quiet: &[] },
    Foreign { name: "enable_model_warmup", takes_none: true, why: "", quiet: &[] },
    Foreign { name: "enable_signature_method_name_check", takes_none: true, why: "", quiet: &[] },
    Foreign { name: "remove_unused_fields_from_bundle_metagraph", takes_none: true, why: "", quiet: &[] },
    Foreign { name: "xla_cpu_compilation_enabled", takes_none: true, why: "", quiet: &[] },
    Foreign { name: "enable_profiler", takes_none: true, why: TENSORFLOW, quiet: FALSE },
    Foreign { name: "prefer_tflite_model", takes_none: true, why: TENSORFLOW, quiet: FALSE },
    flag("platform_config_file", TENSORFLOW, &[""]),
    flag("saved_model_tags", TENSORFLOW, &["serve", ""]),
    flag("thread_pool_factory_config_file", TENSORFLOW, &[""]),
    flag("mixed_precision", TENSORFLOW, &[""]),
    silent("per_process_gpu_memory_fraction"),
    silent("tensorflow_session_parallelism"),
    silent("tensorflow_intra_op_parallelism"),
    silent("tensorflow_inter_op_parallelism"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_kserve_always_says_is_no_news_and_what_will_not_happen_is() {
        let asks = |name: &str, value: &str| find(name).unwrap().asks(value);
        for (name, value) in [("workers", "1"), ("event_loop", "uvloop"), ("predictor_use_ssl", "False")] {
            assert!(!asks(name, value), "{name}");
        }
        for (name, value) in [("workers", "4"), ("ssl_config_file", "/tls"), ("enable_batching", "true")] {
            assert!(asks(name, value), "{name}");
        }
    }
}
