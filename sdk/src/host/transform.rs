//! Serves a transformer: two verbs, each one decode and one encode.

use std::sync::Arc;

use weir_proto::{Code, Error, Face, Origin, oip};

use super::check_model;
use crate::id::Ids;
use crate::{BoxFuture, Call, Handle, Metadata, ModelStatus, Payload, Transform, Verb};

/// A transformer, for one model by name.
pub struct TransformHost {
    name: String,
    transform: Box<dyn Transform>,
    verbs: Vec<Verb>,
    ids: Ids,
}

impl TransformHost {
    /// Creates a host.
    pub fn new(name: impl Into<String>, transform: Box<dyn Transform>) -> Arc<Self> {
        let implements = transform.implements();
        let mut verbs = Vec::with_capacity(2);
        if implements.preprocess {
            verbs.push(Verb::Preprocess);
        }
        if implements.postprocess {
            verbs.push(Verb::Postprocess);
        }
        Arc::new(Self { name: name.into(), transform, verbs, ids: Ids::default() })
    }

    fn preprocess(&self, mut call: Call) -> Result<Payload, Error> {
        if call.want != Face::Tensors {
            let message = format!("a preprocessed request is given as tensors, not as {}", call.want.name());
            return Err(Error::new(Code::Unsupported, message));
        }
        let (mut request, form) = call.take_request()?;
        if form.raw {
            return Err(Error::invalid(
                "a raw request tells no shape, so it cannot be reshaped; send `shape` and `datatype` with the tensor",
            ));
        }
        self.transform.preprocess(&mut request)?;
        let body = oip::encode_request(&call.model, &call.version, request);
        Ok(Payload { form, ..Payload::new(Face::Tensors, body) })
    }

    fn postprocess(&self, call: Call) -> Result<Payload, Error> {
        let (mut response, form) = call.payload.into_response()?;
        self.transform.postprocess(&mut response)?;
        if response.id.is_empty() && call.want != Face::V1 {
            response.id = self.ids.next();
        }
        Payload::of_response(call.want, response, form)
    }
}

impl Handle for TransformHost {
    fn component(&self) -> Origin {
        Origin::Transformer
    }

    fn verbs(&self) -> &[Verb] {
        &self.verbs
    }

    fn call(&self, call: Call) -> BoxFuture<'_, Result<Payload, Error>> {
        let outcome = || {
            check_model(&call, &self.name)?;
            match call.verb {
                Verb::Preprocess => self.preprocess(call),
                Verb::Postprocess => self.postprocess(call),
                Verb::Infer | Verb::Explain => Err(Error::new(
                    Code::Unsupported,
                    "a transformer reshapes; send predictions to the router",
                )),
            }
        };
        Box::pin(std::future::ready(outcome()))
    }

    fn models(&self) -> BoxFuture<'_, Vec<ModelStatus>> {
        Box::pin(std::future::ready(vec![ModelStatus::ready(self.name.clone(), "")]))
    }

    fn metadata<'a>(&'a self, model: &'a str, _: &'a str) -> BoxFuture<'a, Result<Metadata, Error>> {
        let message =
            format!("the transformer of `{model}` has no signature; ask the router or the predictor");
        Box::pin(std::future::ready(Err(Error::new(Code::Unsupported, message))))
    }
}
