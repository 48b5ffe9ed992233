//! One trace through every hop, seen by a receiver that speaks OTLP; metrics as a Prometheus server would scrape them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{
    TraceService, TraceServiceServer,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::trace::v1::Span;
use tonic::{Request, Response, Status};

use crate::harness::{Process, get, manifest, mesh, post, post_with, root, wait_for};

const BODY: &str = r#"{"instances": [[6.8, 2.8, 4.8, 1.4]]}"#;

/// A collector that keeps what it is sent.
#[derive(Clone, Default)]
struct Collector(Arc<Mutex<Vec<(String, Span)>>>);

#[tonic::async_trait]
impl TraceService for Collector {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        let mut kept = self.0.lock().unwrap();
        for resource in request.into_inner().resource_spans {
            let attributes = resource.resource.unwrap_or_default().attributes;
            let service = attributes.into_iter().find(|it| it.key == "service.name").and_then(|it| it.value);
            let service = format!("{:?}", service.and_then(|it| it.value));
            for scope in resource.scope_spans {
                kept.extend(scope.spans.into_iter().map(|span| (service.clone(), span)));
            }
        }
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

async fn collector() -> (Collector, String) {
    let collector = Collector::default();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let path = "/opentelemetry.proto.collector.trace.v1.TraceService/{method}";
    let router = axum::Router::new().route_service(path, TraceServiceServer::new(collector.clone()));
    tokio::spawn(async move { axum::serve(listener, router).await });
    (collector, endpoint)
}

#[tokio::test(flavor = "multi_thread")]
async fn one_trace_runs_through_router_transformer_predictor_and_back() {
    let (collector, endpoint) = collector().await;
    let env = [("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.as_str()), ("OTEL_BSP_SCHEDULE_DELAY", "50")];
    let process = Process::start(&["-f", "deploy/samples/iris.yaml", "--separate"], &env);
    process.ready().await;
    let trace = "0af7651916cd43dd8448eb211c80319c";
    let parent = format!("00-{trace}-b7ad6b7169203331-01");
    let answer = post_with(&process.url("/v1/models/iris:predict"), BODY, &[("traceparent", &parent)]).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let wanted = ["router infer", "transformer preprocess", "predictor infer", "transformer postprocess"];
    let of_trace = || {
        let kept = collector.0.lock().unwrap();
        let mine = kept.iter().filter(|(_, span)| hex(&span.trace_id) == trace).cloned();
        mine.collect::<Vec<_>>()
    };
    wait_for(Duration::from_secs(10), || async {
        let spans = of_trace();
        wanted.iter().all(|name| spans.iter().any(|(_, span)| span.name == *name))
    })
    .await;
    let spans = of_trace();
    let by_id: BTreeMap<String, &Span> = spans.iter().map(|(_, span)| (hex(&span.span_id), span)).collect();
    let root = spans.iter().find(|(_, span)| span.name == "router infer").unwrap();
    assert_eq!(hex(&root.1.parent_span_id), "b7ad6b7169203331");
    assert!(root.0.contains("router"), "{}", root.0);
    for name in &wanted[1..] {
        let (service, span) = spans.iter().find(|(_, span)| span.name == *name).unwrap();
        assert!(service.contains(name.split(' ').next().unwrap()), "{name} is told by {service}");
        let hop = by_id[&hex(&span.parent_span_id)];
        assert_eq!(hex(&hop.parent_span_id), hex(&root.1.span_id), "{name} is two below the router's span");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_is_a_span_below_one_of_its_requests_and_linked_with_the_others() {
    let (collector, endpoint) = collector().await;
    let env = [("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.as_str()), ("OTEL_BSP_SCHEDULE_DELAY", "50")];
    let spec = format!(
        "  predictor: {{batcher: {{maxBatchSize: 2, maxLatency: 600000}}, sklearn: {{storageUri: {}}}}}",
        root().join("deploy/samples/models/iris").display()
    );
    let (_folder, file) = manifest("iris", &spec);
    let process = Process::start(&["-f", file.to_str().unwrap()], &env);
    process.ready().await;
    let traces = ["0af7651916cd43dd8448eb211c80319c", "1af7651916cd43dd8448eb211c80319c"];
    let url = process.url("/v1/models/iris:predict");
    let ask = |trace: &str| {
        let (url, parent) = (url.clone(), format!("00-{trace}-b7ad6b7169203331-01"));
        async move { post_with(&url, BODY, &[("traceparent", &parent)]).await.status }
    };
    assert_eq!(tokio::join!(ask(traces[0]), ask(traces[1])), (200, 200));
    let found = |name: &str| {
        let kept = collector.0.lock().unwrap();
        kept.iter().map(|(_, span)| span.clone()).filter(|it| it.name == name).collect::<Vec<_>>()
    };
    wait_for(Duration::from_secs(10), || async {
        found("batch").len() == 1 && found("predictor infer").len() == 2
    })
    .await;
    let batch = &found("batch")[0];
    let served = found("predictor infer");
    let (below, linked) = (&batch.parent_span_id, &batch.links[0].span_id);
    assert_eq!(batch.links.len(), 1);
    assert!(served.iter().all(|it| it.span_id == *below || it.span_id == *linked) && below != linked);
    let mut met = [hex(&batch.trace_id), hex(&batch.links[0].trace_id)];
    met.sort();
    assert_eq!(met, traces);
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|it| format!("{it:02x}")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_exporter_whose_collector_is_away_slows_nobody() {
    let env = [("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")];
    let process = Process::start(&["-f", "deploy/samples/iris.yaml"], &env);
    process.ready().await;
    for _ in 0..50 {
        assert_eq!(post(&process.url("/v1/models/iris:predict"), BODY).await.status, 200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_have_kserves_names_and_count_what_happened() {
    let mesh = mesh("deploy/samples/iris.yaml").await;
    let base = format!("http://{}/v1/models/", mesh.http());
    for _ in 0..3 {
        assert_eq!(post(&format!("{base}iris:predict"), BODY).await.status, 200);
    }
    assert_eq!(post(&format!("{base}iris:explain"), BODY).await.status, 200);
    assert_eq!(post(&format!("{base}iris:predict"), "{").await.status, 400);
    assert_eq!(post(&format!("{base}nope:predict"), BODY).await.status, 404);
    let scrape = |admin: std::net::SocketAddr| async move {
        get(&format!("http://{admin}/metrics")).await.unwrap().text
    };
    let router = scrape(mesh.router().admin.unwrap()).await;
    for line in [
        "request_explain_seconds_count{model_name=\"iris\"} 1",
        "weir_requests_total{model_name=\"iris\",verb=\"infer\",protocol=\"v1\",code=\"ok\"} 3",
        "weir_requests_total{model_name=\"iris\",verb=\"infer\",protocol=\"v1\",code=\"invalid_input\"} 1",
        "weir_requests_total{model_name=\"unknown\",verb=\"infer\",protocol=\"v1\",code=\"not_found\"} 1",
        "# TYPE request_predict_seconds histogram",
    ] {
        assert!(router.contains(line), "`{line}` is not in\n{router}");
    }
    let of = |name: &str| mesh.components().find(|(it, _)| it.starts_with(name)).unwrap().1.admin.unwrap();
    let transformer = scrape(of("transformer")).await;
    for name in ["request_preprocess_seconds_count", "request_postprocess_seconds_count"] {
        assert!(
            transformer.contains(&format!("{name}{{model_name=\"iris\"}}")),
            "{name} is not in\n{transformer}"
        );
    }
    assert!(scrape(of("predictor")).await.contains("request_predict_seconds_bucket"));
    assert_eq!(get(&format!("http://{}/readyz", mesh.router().admin.unwrap())).await.unwrap().status, 200);
}
