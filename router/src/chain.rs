//! The chain: preprocess, predict, postprocess. A body passes from hop to hop as it came; the first service that needs numbers
//! decodes it, the last one writes the answer as the client speaks.

use std::sync::Arc;

use weir_sdk::{Call, Context, DecodeLimits, Error, Face, Method, Payload, Peer, Verb};

use crate::route::Revision;

pub(crate) async fn infer(revision: &Revision, call: Call) -> Result<Payload, Error> {
    let Some(transformer) = &revision.transformer else {
        return revision.predictor.call(call).await;
    };
    let verbs = transformer.verbs(&call.context).await?;
    let chain = Chain {
        transformer,
        want: call.want,
        model: call.model,
        version: call.version,
        context: call.context,
        limits: call.limits,
    };
    // Classes and their scores have a form of their own, which no postprocessing of predictions knows.
    let post = verbs.contains(&Verb::Postprocess) && call.payload.form.method == Method::Predict;
    let mut payload = call.payload;
    if verbs.contains(&Verb::Preprocess) {
        payload = chain.transformer.call(chain.hop(Verb::Preprocess, payload, Face::Tensors)).await?;
    }
    let want = if post { Face::Tensors } else { chain.want };
    payload = revision.predictor.call(chain.hop(Verb::Infer, payload, want)).await?;
    if post {
        payload = chain.transformer.call(chain.hop(Verb::Postprocess, payload, chain.want)).await?;
    }
    Ok(payload)
}

struct Chain<'a> {
    transformer: &'a Arc<Peer>,
    /// What the client wants in the end.
    want: Face,
    model: String,
    version: String,
    context: Context,
    limits: DecodeLimits,
}

impl Chain<'_> {
    fn hop(&self, verb: Verb, payload: Payload, want: Face) -> Call {
        Call {
            verb,
            model: self.model.clone(),
            version: self.version.clone(),
            payload,
            want,
            context: self.context.clone(),
            limits: self.limits,
        }
    }
}
