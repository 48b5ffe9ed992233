//! Small manifests, and what is read out of them and said about them.

use std::fmt::Write;

use super::*;

/// Reads a manifest whose first line break is cut off, and compares a line for each revision and each problem.
fn check(text: &str, want: &str) {
    let (Manifest { services, models }, problems) = parse("f.yaml", &text[1..]);
    let mut told = String::new();
    for TrainedModel { name, service, framework, storage_uri, memory, .. } in &models {
        let memory = memory.as_deref().unwrap_or("-");
        writeln!(told, "{service} serves {name}: {framework} {storage_uri} {memory}").unwrap();
    }
    for service in &services {
        for revision in &service.revisions {
            let (InferenceService { name, namespace, .. }, Revision { name: revision_name, weight, .. }) =
                (service, revision);
            let timeout = revision.predictor.timeout_s.map(|it| format!(" in {it} s")).unwrap_or_default();
            write!(told, "{namespace}/{name} {revision_name} {weight}%: ").unwrap();
            let batcher = revision
                .predictor
                .batcher
                .map(|it| format!(" in batches of {:?} after {:?} ms", it.max_batch_size, it.max_latency_ms));
            let batcher = batcher.unwrap_or_default();
            let (serving, beside) = (serving(&revision.predictor.serving), beside(revision));
            writeln!(told, "{serving}{timeout}{batcher}{beside}").unwrap();
        }
        assert_eq!(service.revisions.iter().map(|it| u32::from(it.weight)).sum::<u32>(), 100);
    }
    for problem in problems {
        writeln!(told, "{}", problem.to_string().trim_start_matches("f.yaml:")).unwrap();
    }
    assert_eq!(told.trim_end(), want, "for the manifest\n{text}");
}

fn serving(serving: &Serving) -> String {
    let model = match serving {
        Serving::Container(it) => return container(it),
        Serving::Model(it) => it,
    };
    let ModelSpec { format, args, env, .. } = model;
    let mut told = format.clone();
    for (mark, part) in [
        (':', &model.format_version),
        ('@', &model.storage_uri),
        ('/', &model.protocol_version),
        ('!', &model.runtime),
    ] {
        part.iter().for_each(|it| write!(told, " {mark}{it}").unwrap());
    }
    model.storage_spec.iter().for_each(|it| write!(told, " {it}").unwrap());
    model.storage_uris.iter().for_each(|(uri, folder)| write!(told, " +{uri}={folder}").unwrap());
    args.iter().for_each(|it| write!(told, " {it}").unwrap());
    env.iter().for_each(|(name, value)| write!(told, " {name}={value}").unwrap());
    told
}

fn container(it: &Container) -> String {
    let Container { name, image, command, args, env, storage_uri, ports, at: _ } = it;
    format!("{name} [{image}] {command:?} {args:?} {env:?} {storage_uri:?} {ports:?}")
        .replace(" []", "")
        .replace(" None", "")
}

fn beside(revision: &Revision) -> String {
    let transformer = match &revision.transformer {
        None => String::new(),
        Some(Transformer::Steps { pre_and_post, .. }) => format!("; steps {}", pre_and_post.to_json()),
        Some(Transformer::Container(it)) => format!("; transformer {}", container(it)),
    };
    let explainer = match &revision.explainer {
        None => String::new(),
        Some(Explainer::Container(it)) => format!("; explainer {}", container(it)),
        Some(Explainer::Method { method, storage_uri, config, .. }) => {
            let config = config.as_ref().map(Node::to_json);
            format!("; method {method} {storage_uri:?} {config:?}").replace(" None", "")
        }
    };
    transformer + &explainer
}

/// A head of three lines for tests of what follows `spec:`.
fn beta(spec: &str) -> String {
    format!(
        "\napiVersion: serving.kserve.io/v1beta1\nkind: InferenceService\nmetadata: {{name: demo}}\nspec:{spec}"
    )
}

#[test]
fn a_service_of_every_component_is_read_with_warnings_for_what_has_no_effect() {
    check(
        r#"
apiVersion: serving.kserve.io/v1beta1
kind: InferenceService
metadata:
  name: flowers
  namespace: garden
  annotations: {serving.kserve.io/deploymentMode: Standard}
  labels: {team: green}
spec:
  predictor:
    minReplicas: 0
    timeout: 30
    canaryTrafficPercent: 15
    logger: {mode: all, url: "http://log.garden"}
    batcher: {maxBatchSize: 8, maxLatency: 20}
    nodeSelector: {disk: fast}
    model:
      modelFormat: {name: onnx, version: "1"}
      runtime: weir-onnx
      protocolVersion: v2
      storageUri: s3://garden/flowers
      args: ["--workers", "2"]
      env:
      - {name: LEVEL, value: debug}
      - {name: TOKEN, valueFrom: {secretKeyRef: {name: t, key: k}}}
      resources: {limits: {cpu: 1}}
  transformer:
    containers:
    - name: kserve-container
      image: registry.garden:5000/tools/scale:3
      args: ["--predictor_protocol", "grpc-v2"]
      ports: [{containerPort: 8080, name: http1, protocol: TCP}]
  explainer:
    containers: [{name: kserve-container, image: "garden/why:1", env: [{name: STORAGE_URI, value: "gs://garden/why"}]}]
status: {url: anything}
"#,
        r#"garden/flowers default 100%: onnx :1 @s3://garden/flowers /v2 !weir-onnx --workers 2 LEVEL=debug in 30 s in batches of Some(8) after Some(20) ms; transformer kserve-container [registry.garden:5000/tools/scale:3] ["--predictor_protocol", "grpc-v2"] [8080]; explainer kserve-container [garden/why:1] [("STORAGE_URI", "gs://garden/why")] Some("gs://garden/why")
10:18: warning: spec.predictor.minReplicas: has no effect here
12:27: warning: spec.predictor.canaryTrafficPercent: has no effect here, where no earlier revision runs; list the canary in `spec.canary`
13:13: warning: spec.predictor.logger: has no effect here
15:19: warning: spec.predictor.nodeSelector: has no effect here
24:34: warning: spec.predictor.model.env[1].valueFrom: has no effect here, so the variable is not set; give a `value`
25:18: warning: spec.predictor.model.resources: has no effect here"#,
    );
}

#[test]
fn kfservings_first_form_is_two_endpoints() {
    check(
        r#"
apiVersion: serving.kubeflow.org/v1alpha2
kind: InferenceService
metadata: {name: flowers}
spec:
  canaryTrafficPercent: 20
  default:
    predictor: {minReplicas: 1, xgboost: {storageUri: "pvc://models/a", nthread: 4, runtimeVersion: "0.3"}}
    transformer: {custom: {container: {name: kfserving-container, image: "garden/scale:1"}}}
    explainer: {alibi: {type: AnchorTabular, storageUri: "gs://garden/why", config: {threshold: "0.9"}}}
  canary:
    predictor: {pytorch: {storageUri: "pvc://models/b", modelClassName: Net, resources: {}}, parallelism: 2, batcher: {maxBatchSize: 0, timeout: 60}}
"#,
        r#"default/flowers default 80%: xgboost @pvc://models/a --nthread=4; transformer kfserving-container [garden/scale:1]; method AnchorTabular Some("gs://garden/why") Some("{\"threshold\": \"0.9\"}")
default/flowers canary 20%: pytorch @pvc://models/b --model_class_name=Net in batches of None after None ms
7:30: warning: spec.default.predictor.minReplicas: has no effect here
7:101: warning: spec.default.predictor.xgboost.runtimeVersion: has no effect here
11:89: warning: spec.canary.predictor.pytorch.resources: has no effect here
11:107: warning: spec.canary.predictor.parallelism: has no effect here
11:134: error: spec.canary.predictor.batcher.maxBatchSize: got 0, expected 1 to 1048576
11:146: warning: spec.canary.predictor.batcher.timeout: has no effect here"#,
    );
    let alpha = |spec: &str| {
        format!(
            "\napiVersion: serving.kserve.io/v1alpha2\nkind: InferenceService\nmetadata: {{name: a}}\nspec:{spec}"
        )
    };
    check(
        &alpha(
            "
  default: {predictor: {sklearn: {storageUri: a}}}
  canary: {predictor: {custom: {container: {image: own, command: [serve]}}}, explainer: {custom: {container: {image: why}}}}",
        ),
        r#"default/a default 100%: sklearn @a
default/a canary 0%: kserve-container [own] ["serve"]; explainer kserve-container [why]"#,
    );
    check(
        &alpha(
            "
  default:
    predictor: {sklearn: {}, custom: {containers: []}}
    transformer: {steps: []}
    explainer: {}
  canaryTrafficPercent: 101
",
        ),
        "\
default/a default 100%: sklearn
6:38: error: spec.default.predictor.custom: expected exactly one, got `sklearn`, `custom`; keep one
7:18: error: spec.default.transformer.custom: is missing
7:19: error: spec.default.transformer.steps: unknown field; known are `custom`
8:16: error: spec.default.explainer: says nothing of what it is; expected exactly one of `alibi`, `aix`, `custom`
9:25: error: spec.canaryTrafficPercent: got 101, expected 0 to 100",
    );
    check(
        &alpha("\n  default: {predictor: {onnx: {storageUri: a}}}\n  canaryTrafficPercent: 10\n"),
        "\
default/a default 100%: onnx @a
6:25: error: spec.canaryTrafficPercent: gives 10 percent to a canary, but `canary` is missing",
    );
}

#[test]
fn canaries_of_the_second_form_share_what_is_not_their_predictor() {
    let head = "
  predictor: {sklearn: {storageUri: a}}
  transformer: {steps: [{scale: {mean: [1, 2.5]}}]}
  explainer: {method: anchor, config: {threshold: 0.95}}
  canary:";
    check(
        &beta(&format!(
            "{head}
  - {{trafficPercent: 10, predictor: {{name: next, sklearn: {{storageUri: b}}}}}}
  - {{predictor: {{name: dark, xgboost: {{storageUri: c}}}}}}"
        )),
        r#"default/demo default 90%: sklearn @a; steps [{"scale": {"mean": [1,2.5]}}]; method anchor Some("{\"threshold\": 0.95}")
default/demo next 10%: sklearn @b; steps [{"scale": {"mean": [1,2.5]}}]; method anchor Some("{\"threshold\": 0.95}")
default/demo dark 0%: xgboost @c; steps [{"scale": {"mean": [1,2.5]}}]; method anchor Some("{\"threshold\": 0.95}")
10:5: warning: spec.canary[1].trafficPercent: is missing, so this canary gets no traffic"#,
    );
    let (_, problems) = parse(
        "f.yaml",
        &beta(&format!(
            "{head}
  - {{trafficPercent: 60, predictor: {{sklearn: {{storageUri: b}}}}}}
  - {{trafficPercent: 60, predictor: {{name: Next, sklearn: {{storageUri: b}}}}}}
  - {{trafficPercent: 60, predictor: {{name: next, sklearn: {{storageUri: b}}}}}}
  - {{trafficPercent: 60, predictor: {{name: next, sklearn: {{storageUri: b}}}}, transformer: {{}}}}
  - {{trafficPercent: -1, predictor: {{name: default, sklearn: {{storageUri: b}}}}}}"
        )),
    );
    let told: Vec<_> = problems.iter().map(Problem::to_string).collect();
    assert_eq!(
        told.join("\n"),
        "\
f.yaml:9:3: error: spec.canary: the fields trafficPercent add up to 120, expected 100 at most
f.yaml:10:37: error: spec.canary[0].predictor.name: is missing
f.yaml:11:44: error: spec.canary[1].predictor.name: `Next` is no name; names have 63 of a-z, 0-9 and `-` at most, and no `-` at an end
f.yaml:13:44: error: spec.canary[3].predictor.name: the name `next` is taken by another revision
f.yaml:13:77: error: spec.canary[3].transformer: unknown field; known are `trafficPercent`, `predictor`
f.yaml:14:22: error: spec.canary[4].trafficPercent: got -1, expected 0 to 100
f.yaml:14:44: error: spec.canary[4].predictor.name: the name `default` is taken by another revision"
    );
}

#[test]
fn legacy_keys_are_formats() {
    for key in [
        "sklearn",
        "xgboost",
        "lightgbm",
        "pmml",
        "onnx",
        "tensorflow",
        "pytorch",
        "triton",
        "paddle",
        "huggingface",
    ] {
        for group in ["serving.kserve.io", "serving.kubeflow.org"] {
            check(
                &format!(
                    "\n{{apiVersion: {group}/v1beta1, kind: InferenceService, metadata: {{name: a}}, spec: {{predictor: {{{key}: {{storageUri: b, protocolVersion: grpc-v2}}}}}}}}"
                ),
                &format!("default/a default 100%: {key} @b /grpc-v2"),
            );
        }
    }
    check(
        &beta(
            "\n  predictor: {sklearn: {storageUri: a}}\n  explainer: {art: {type: SquareAttack, config: {nb_classes: '10'}, image: x}}",
        ),
        r#"default/demo default 100%: sklearn @a; method SquareAttack Some("{\"nb_classes\": \"10\"}")
6:76: warning: spec.explainer.art.image: has no effect here"#,
    );
}

#[test]
fn the_container_that_serves_is_found_by_name_or_is_the_first() {
    check(
        &beta(
            "
  predictor:
    containers:
    - {name: proxy, image: proxy}
    - {name: transformer-container, image: scale}
    - {name: kserve-container, image: own, env: [{name: STORAGE_URI, value: a}], volumeMounts: []}",
        ),
        r#"default/demo default 100%: kserve-container [own] [("STORAGE_URI", "a")] Some("a"); transformer transformer-container [scale]
7:7: warning: spec.predictor.containers[0]: has no effect here: of several containers only the one that serves is run
9:96: warning: spec.predictor.containers[2].volumeMounts: has no effect here"#,
    );
    check(
        &beta("\n  predictor: {containers: [{name: mine, image: own}, {name: other, image: proxy}]}"),
        "default/demo default 100%: mine [own]
5:54: warning: spec.predictor.containers[1]: has no effect here: of several containers only the one that serves is run",
    );
    check(
        &beta("\n  predictor: {sklearn: {}, containers: [{name: transformer-container, image: scale}]}"),
        "default/demo default 100%: sklearn; transformer transformer-container [scale]",
    );
    check(
        &beta(
            "
  predictor: {sklearn: {}, containers: [{name: transformer-container, image: scale}, {name: kserve-container, image: own}]}
  transformer: {steps: []}",
        ),
        "\
default/demo default 100%: sklearn; transformer transformer-container [scale]
5:40: error: spec.predictor.containers: expected exactly one, got `sklearn`, `containers`; keep one
6:16: error: spec.transformer: a `transformer-container` stands beside the predictor already; keep one of them",
    );
}

#[test]
fn a_place_in_parts_and_several_places_are_read() {
    let model = |storage: &str| {
        beta(&format!("\n  predictor: {{model: {{modelFormat: {{name: onnx}}, {storage}}}}}"))
    };
    check(
        &model("storage: {path: /a/b, parameters: {type: s3, bucket: c, region: eu}}"),
        r#"default/demo default 100%: onnx {"path": "/a/b","parameters": {"type": "s3","bucket": "c","region": "eu"}}"#,
    );
    check(
        &model("storage: {path: a, key: mine}"),
        r#"default/demo default 100%: onnx {"path": "a","key": "mine"}"#,
    );
    check(
        &model("storage: {key: mine}"),
        "default/demo default 100%: onnx\n5:59: error: spec.predictor.model.storage.path: is missing",
    );
    check(
        &beta(
            "\n  predictor: {onnx: {}, storageUris: [{uri: s3://a/b}, {uri: c, mountPath: /mnt/models/d}]}",
        ),
        "default/demo default 100%: onnx +s3://a/b=/mnt/models +c=/mnt/models/d",
    );
    check(
        &model("storage: {path: a}, storageUri: b"),
        "default/demo default 100%: onnx @b\n5:59: warning: spec.predictor.model.storage: has no effect here",
    );
}

#[test]
fn every_mistake_is_told_with_its_place_and_field() {
    check(
        &beta(
            "
  predictor:
    modle: {}
    timeout: 1.5
    model:
      modelFormat: {nam: onnx, version: 1}
      protocolVersion: v3
      storageUri: [a]
      args: [--workers, 2]
      env:
      - {name: A, value: 1}
      - {name: B}
      - {value: c, secret: d}
      - {name: 'E=', value: e}
  transformer:
    containers:
    - {name: kserve-container, command: [1], ports: [{containerPort: 70000}, {name: http}], argz: []}
  explainer: {storageUri: a}
  predictors: {}",
        ),
        "\
6:5: error: spec.predictor.modle: unknown field; did you mean `model`?
7:14: error: spec.predictor.timeout: got the number `1.5`, expected an integer
9:20: error: spec.predictor.model.modelFormat.name: is missing
9:21: error: spec.predictor.model.modelFormat.nam: unknown field; did you mean `name`?
9:41: error: spec.predictor.model.modelFormat.version: got the integer `1`, expected a string: quote it
10:24: error: spec.predictor.model.protocolVersion: unknown protocol `v3`; known are v1, v2, grpc-v1, grpc-v2
11:19: error: spec.predictor.model.storageUri: got a list, expected a string
12:25: error: spec.predictor.model.args[1]: got the integer `2`, expected a string: quote it
14:26: error: spec.predictor.model.env[0].value: got the integer `1`, expected a string: quote it
15:9: error: spec.predictor.model.env[1].value: is missing; an empty value is written \"\"
16:9: error: spec.predictor.model.env[2].name: is missing
16:20: error: spec.predictor.model.env[2].secret: unknown field; known are `name`, `value`, `valueFrom`
17:16: error: spec.predictor.model.env[3].name: a variable's name has no `=` and no null character
20:7: error: spec.transformer.containers[0].image: is missing
20:42: error: spec.transformer.containers[0].command[0]: got the integer `1`, expected a string: quote it
20:70: error: spec.transformer.containers[0].ports[0].containerPort: got 70000, expected 1 to 65535
20:78: error: spec.transformer.containers[0].ports[1].containerPort: is missing
20:93: error: spec.transformer.containers[0].argz: unknown field; did you mean `args`?
21:14: error: spec.explainer: says nothing of what it is; expected exactly one of `method`, `containers`
22:3: error: spec.predictors: unknown field; did you mean `predictor`?",
    );
    check(
        &beta("\n  predictor: {}"),
        "5:14: error: spec.predictor: says nothing of what it is; expected exactly one of `model`, `containers`, or a framework such as `sklearn`",
    );
    check(
        &beta("\n  predictor:\n    sklearn:\n  transformer: x"),
        "\
5:3: error: spec.predictor: says nothing of what it is; expected exactly one of `model`, `containers`, or a framework such as `sklearn`
7:16: error: spec.transformer: got the string `x`, expected a map",
    );
    check(&beta(" {}"), "4:7: error: spec.predictor: is missing");
    check(&beta(""), "1:1: error: spec: is missing");
}

#[test]
fn heads_say_what_a_document_is() {
    check(
        r#"
apiVersion: v1
kind: ConfigMap
data: {anything: here}
---
apiVersion: serving.kserve.io/v1alpha1
kind: ClusterServingRuntime
---
apiVersion: serving.kserve.io/v1beta1
kind: InferenceServise
---
apiVersion: serving.kserve.io/v1
kind: InferenceService
---
apiversion: serving.kserve.io/v1beta1
kind: InferenceService
---
- a
---
apiVersion: serving.kserve.io/v1beta1
kind: InferenceService
metadata: {nmae: x, name: -a, namespace: "B"}
spec: {predictor: {sklearn: {}}}
"#,
        "\
2:7: warning: kind: ignored: `ConfigMap` is not an InferenceService
6:7: warning: kind: ignored: `ClusterServingRuntime` is not an InferenceService
9:7: error: kind: unknown kind `InferenceServise`; known is `InferenceService`
11:13: error: apiVersion: unknown version `serving.kserve.io/v1`; known are `serving.kserve.io/v1beta1`, `serving.kubeflow.org/v1beta1`, `serving.kserve.io/v1alpha2`, `serving.kubeflow.org/v1alpha2`
14:1: error: apiVersion: is missing
14:1: error: apiversion: unknown field; did you mean `apiVersion`?
17:1: error: got a list, expected a map
21:12: error: metadata.nmae: unknown field; did you mean `name`?
21:27: error: metadata.name: `-a` is no name; names have 63 of a-z, 0-9 and `-` at most, and no `-` at an end
21:42: error: metadata.namespace: `B` is no name; names have 63 of a-z, 0-9 and `-` at most, and no `-` at an end",
    );
    let service = |name: &str| {
        format!(
            "{{apiVersion: serving.kserve.io/v1beta1, kind: InferenceService, metadata: {name}, spec: {{predictor: {{sklearn: {{}}}}}}}}"
        )
    };
    check(
        &format!(
            "\n---\n{}\n---\n{}\n---\napiVersion: v1\nkind: List\nitems:\n- {}\n- {}\n",
            service("{name: a}"),
            service("{name: a, namespace: other}"),
            service("{name: b}"),
            service("{name: a, namespace: default}"),
        ),
        "\
default/a default 100%: sklearn
other/a default 100%: sklearn
default/b default 100%: sklearn
10:84: error: items[1].metadata.name: namespace `default` has a service `a` already, in line 2",
    );
    check("\n# nothing\n", "");
}

#[test]
fn weirs_own_images_are_known_by_the_end_of_their_name() {
    let component = |image: &str| {
        let text = beta(&format!("\n  predictor: {{containers: [{{image: \"{image}\"}}]}}"));
        let service = parse("f.yaml", &text).0.services.remove(0);
        match &service.revisions[0].predictor.serving {
            Serving::Container(it) => it.weir_component(),
            Serving::Model(_) => None,
        }
    };
    assert_eq!(component("weir-predictor"), Some("predictor"));
    assert_eq!(component("host:5000/team/weir-explainer:1.2"), Some("explainer"));
    assert_eq!(component("host/my-weir-transformer@sha256:ab12"), Some("transformer"));
    assert_eq!(component("host/weir-transformer:1@sha256:ab12"), Some("transformer"));
    for foreign in ["weir-predictor/other", "predictor", "weir-router", "weirpredictor", "weir-predictor-x:1"]
    {
        assert_eq!(component(foreign), None, "{foreign}");
    }
}

#[test]
fn a_manifest_cut_off_anywhere_is_read_without_a_panic() {
    let text = r#"# flowers
apiVersion: "serving.kserve.io/v1beta1"
kind: InferenceService
metadata: {name: flowers, annotations: {a/b: 'it''s', c: "\u0041\\"}}
spec:
  predictor: &p
    timeout: 30
    model: {modelFormat: {name: onnx, version: !!str 1}, storageUri: s3://b/flowers}
  transformer:
    containers:
    - image: >-
        garden/é:1
      env: &env
      - name: B
        value: |
          two
          lines
      args: ["--a", '--b=1',
        plain text]
  explainer:
    method: anchor
    config: {threshold: 0.95, large: 0x1F, not: .nan}
  canary:
  - trafficPercent: 10
    predictor: {<<: *p, name: next}
---
apiVersion: serving.kubeflow.org/v1alpha2
kind: InferenceService
metadata: {name: old}
spec: {default: {predictor: {sklearn: {storageUri: "gs://x"}}}}
...
"#;
    for end in (0..=text.len()).filter(|&it| text.is_char_boundary(it)) {
        let (Manifest { services, .. }, problems) = parse("f.yaml", &text[..end]);
        let errors = problems.iter().any(|it| it.severity == crate::document::Severity::Error);
        assert!(errors || services.len() <= 2);
        if end == text.len() {
            assert_eq!((services.len(), problems), (2, Vec::new()));
        }
    }
}

#[test]
fn trained_models_are_read_and_what_is_wrong_with_them_is_told() {
    check(
        r#"
apiVersion: serving.kserve.io/v1alpha1
kind: TrainedModel
metadata: {name: m1}
spec: {inferenceService: demo, model: {framework: sklearn, storageUri: "s3://b/m1", memory: 256Mi}}
---
apiVersion: serving.kubeflow.org/v1alpha1
kind: TrainedModel
metadata: {name: m1}
spec: {model: {framework: sklearn, storageUri: x, memry: 1}}
---
apiVersion: serving.kserve.io/v1beta1
kind: TrainedModel
metadata: {name: m2}
spec: {}
"#,
        "\
demo serves m1: sklearn s3://b/m1 256Mi
8:18: error: metadata.name: namespace `default` has a model `m1` already, in line 3
9:7: error: spec.inferenceService: is missing
9:51: error: spec.model.memry: unknown field; did you mean `memory`?
11:13: error: apiVersion: unknown version `serving.kserve.io/v1beta1`; known are `serving.kserve.io/v1alpha1`, `serving.kubeflow.org/v1alpha1`, `serving.kubeflow.org/v1beta1`",
    );
}
