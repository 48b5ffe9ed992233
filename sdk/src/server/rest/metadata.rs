//! What a model takes and gives, as V2's clients and as TensorFlow Serving's read it.

use weir_proto::{DataType, Signature, TensorSpec, json};

use crate::Metadata;

/// The V2 form.
pub(super) fn model_json(metadata: &Metadata) -> Vec<u8> {
    let mut out = b"{\"name\":".to_vec();
    json::push_str(&mut out, &metadata.name);
    out.extend_from_slice(b",\"versions\":");
    json::push_list(&mut out, &metadata.versions, |out, it| json::push_str(out, it));
    out.extend_from_slice(b",\"platform\":");
    json::push_str(&mut out, &metadata.signature.platform);
    out.extend_from_slice(b",\"inputs\":");
    json::push_list(&mut out, &metadata.signature.inputs, push_spec);
    out.extend_from_slice(b",\"outputs\":");
    json::push_list(&mut out, &metadata.signature.outputs, push_spec);
    out.push(b'}');
    out
}

fn push_spec(out: &mut Vec<u8>, spec: &TensorSpec) {
    out.extend_from_slice(b"{\"name\":");
    json::push_str(out, &spec.name);
    out.extend_from_slice(b",\"datatype\":");
    json::push_str(out, spec.datatype.name());
    out.extend_from_slice(b",\"shape\":");
    json::push_list(out, &spec.shape, |out, &it| json::push_i64(out, it));
    out.push(b'}');
}

/// TensorFlow Serving's form: the signature under the name that its clients look for.
pub(super) fn signature_def(metadata: &Metadata) -> Vec<u8> {
    let mut out = b"{\"model_spec\":{\"name\":".to_vec();
    json::push_str(&mut out, &metadata.name);
    out.extend_from_slice(b",\"signature_name\":\"\",\"version\":");
    let version = Some(&metadata.version).filter(|it| !it.is_empty()).or(metadata.versions.last());
    json::push_str(&mut out, version.map_or("", String::as_str));
    out.extend_from_slice(br#"},"metadata":{"signature_def":{"signature_def":{"#);
    if metadata.signatures.is_empty() {
        push_signature(&mut out, "serving_default", &metadata.signature);
    }
    for (index, (name, signature)) in metadata.signatures.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        push_signature(&mut out, name, signature);
    }
    out.extend_from_slice(b"}}}}");
    out
}

fn push_signature(out: &mut Vec<u8>, name: &str, signature: &Signature) {
    json::push_str(out, name);
    out.extend_from_slice(b":{\"inputs\":{");
    push_infos(out, &signature.inputs);
    out.extend_from_slice(b"},\"outputs\":{");
    push_infos(out, &signature.outputs);
    out.extend_from_slice(b"},\"method_name\":");
    let method = &signature.method_name;
    json::push_str(out, if method.is_empty() { "tensorflow/serving/predict" } else { method });
    out.push(b'}');
}

fn push_infos(out: &mut Vec<u8>, specs: &[TensorSpec]) {
    for (index, spec) in specs.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        json::push_str(out, &spec.name);
        out.extend_from_slice(b":{\"dtype\":");
        json::push_str(out, tensorflow_name(spec.datatype));
        out.extend_from_slice(b",\"tensor_shape\":{\"dim\":");
        let sizes = if spec.unranked { &[][..] } else { &spec.shape };
        json::push_list(out, sizes, |out, &it| {
            // 64-bit integers are strings in protobuf's JSON.
            out.extend_from_slice(b"{\"size\":");
            json::push_str(out, &it.to_string());
            out.extend_from_slice(b",\"name\":\"\"}");
        });
        out.extend_from_slice(b",\"unknown_rank\":");
        out.extend_from_slice(if spec.unranked { b"true" } else { b"false" });
        out.extend_from_slice(b"},\"name\":");
        if spec.inner_name.is_empty() {
            json::push_str(out, &format!("{}:0", spec.name));
        } else {
            json::push_str(out, &spec.inner_name);
        }
        out.push(b'}');
    }
}

const fn tensorflow_name(datatype: DataType) -> &'static str {
    match datatype {
        DataType::Bool => "DT_BOOL",
        DataType::Uint8 => "DT_UINT8",
        DataType::Uint16 => "DT_UINT16",
        DataType::Uint32 => "DT_UINT32",
        DataType::Uint64 => "DT_UINT64",
        DataType::Int8 => "DT_INT8",
        DataType::Int16 => "DT_INT16",
        DataType::Int32 => "DT_INT32",
        DataType::Int64 => "DT_INT64",
        DataType::Fp16 => "DT_HALF",
        DataType::Bf16 => "DT_BFLOAT16",
        DataType::Fp32 => "DT_FLOAT",
        DataType::Fp64 => "DT_DOUBLE",
        DataType::Bytes => "DT_STRING",
    }
}
