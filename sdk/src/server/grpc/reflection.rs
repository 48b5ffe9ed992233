//! Server reflection, versions 1 and 1alpha: a tool asks what is served and learns the messages, so that it needs no files.
//!
//! On the wire the two versions are one. What is not known is answered with an error in the stream, which goes on.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use axum::body::Body;
use bytes::Bytes;
use http::{Request, Response};
use hyper::body::Incoming;
use prost::Message;
use prost_types::{DescriptorProto, EnumDescriptorProto, FileDescriptorProto, FileDescriptorSet};
use weir_proto::generated::DESCRIPTORS;
use weir_proto::generated::reflection::server_reflection_request::MessageRequest as Question;
use weir_proto::generated::reflection::server_reflection_response::MessageResponse as Reply;
use weir_proto::generated::reflection::{
    ErrorResponse, ExtensionNumberResponse, FileDescriptorResponse, ListServiceResponse,
    ServerReflectionRequest, ServerReflectionResponse, ServiceResponse,
};
use weir_proto::{Code, Error};

use super::message::{Messages, late};
use super::stream::going_away;
use super::{Grpc, QUIET_STREAMS, decode, place, respond, within};
use crate::{Context, wire};

static INDEX: LazyLock<Index> = LazyLock::new(Index::new);

/// Where the descriptors say what.
#[derive(Default)]
struct Index {
    /// Encoded, none of which imports another.
    files: Vec<Bytes>,
    names: HashMap<String, usize>,
    symbols: HashMap<String, usize>,
    messages: HashMap<String, usize>,
    services: Vec<String>,
}

impl Index {
    fn new() -> Self {
        let set =
            FileDescriptorSet::decode(DESCRIPTORS).expect("a test compares it with what a compiler makes");
        let mut index = Self::default();
        for file in set.file {
            index.add(&file);
        }
        index
    }

    fn add(&mut self, file: &FileDescriptorProto) {
        let at = self.files.len();
        self.files.push(file.encode_to_vec().into());
        self.names.insert(file.name().to_owned(), at);
        let package = file.package();
        for message in &file.message_type {
            self.add_message(package, message, at);
        }
        for it in &file.enum_type {
            self.add_enum(package, it, at);
        }
        for service in &file.service {
            let name = format!("{package}.{}", service.name());
            for method in &service.method {
                self.symbols.insert(format!("{name}.{}", method.name()), at);
            }
            self.symbols.insert(name.clone(), at);
            self.services.push(name);
        }
    }

    fn add_message(&mut self, scope: &str, message: &DescriptorProto, at: usize) {
        let name = format!("{scope}.{}", message.name());
        for field in &message.field {
            self.symbols.insert(format!("{name}.{}", field.name()), at);
        }
        for nested in &message.nested_type {
            self.add_message(&name, nested, at);
        }
        for it in &message.enum_type {
            self.add_enum(&name, it, at);
        }
        self.messages.insert(name.clone(), at);
        self.symbols.insert(name, at);
    }

    fn add_enum(&mut self, scope: &str, it: &EnumDescriptorProto, at: usize) {
        for value in &it.value {
            // A value belongs to the scope that its enum is in.
            self.symbols.insert(format!("{scope}.{}", value.name()), at);
        }
        self.symbols.insert(format!("{scope}.{}", it.name()), at);
    }

    fn reply(&self, question: &Question) -> Result<Reply, Error> {
        let unknown = |what: &str, name: &str| Error::new(Code::NotFound, format!("no {what} `{name}`"));
        let file = |at: Option<&usize>, what, name| {
            let file = at.and_then(|&at| self.files.get(at)).ok_or_else(|| unknown(what, name))?;
            let file_descriptor_proto = vec![file.clone()];
            Ok(Reply::FileDescriptorResponse(FileDescriptorResponse { file_descriptor_proto }))
        };
        match question {
            Question::FileByFilename(name) => file(self.names.get(name), "file", name),
            Question::FileContainingSymbol(name) => file(self.symbols.get(name), "symbol", name),
            // There are no extensions here.
            Question::FileContainingExtension(it) => {
                Err(unknown(&format!("extension {} of", it.extension_number), &it.containing_type))
            }
            Question::AllExtensionNumbersOfType(name) => {
                if !self.messages.contains_key(name) {
                    return Err(unknown("message", name));
                }
                let none =
                    ExtensionNumberResponse { base_type_name: name.clone(), extension_number: Vec::new() };
                Ok(Reply::AllExtensionNumbersResponse(none))
            }
            Question::ListServices(_) => {
                let services = self.services.iter().map(|name| ServiceResponse { name: name.clone() });
                Ok(Reply::ListServicesResponse(ListServiceResponse { service: services.collect() }))
            }
        }
    }
}

/// Answers with the stream's head at once; what follows is the task's.
pub(super) fn serve(grpc: &Arc<Grpc>, request: Request<Incoming>) -> Response<Body> {
    let (head, body) = request.into_parts();
    let start = || {
        Ok((
            Context::of(&head.headers, &grpc.app.travellers)?,
            place(&grpc.quiet, "watching or asking streams", QUIET_STREAMS)?,
        ))
    };
    let (context, place) = match start() {
        Ok(started) => started,
        Err(error) => return respond::refuse(&grpc.app, error),
    };
    let mut messages = Messages::new(body, grpc.control_limit(), grpc.app.limits.body_timeout);
    let app = Arc::clone(&grpc.app);
    respond::stream(place, app.handle.component(), |out| async move {
        let idle = app.limits.stream_idle;
        let talk = async {
            loop {
                let message = tokio::select! {
                    message = tokio::time::timeout(idle, messages.next(&head.headers)) => message,
                    () = app.stopping() => return Err(going_away()),
                };
                let message = message.map_err(|_| late("a question", idle))??;
                let Some(message) = message else { return Ok(()) };
                out.send(wire::frame(&answer(decode(message)?))).await?;
            }
        };
        within(&context, talk).await
    })
}

fn answer(request: ServerReflectionRequest) -> ServerReflectionResponse {
    let reply = match &request.message_request {
        Some(question) => INDEX.reply(question),
        None => Err(Error::invalid("the message asks nothing")),
    };
    let reply = reply.unwrap_or_else(|error| {
        Reply::ErrorResponse(ErrorResponse { error_code: error.code.grpc(), error_message: error.message })
    });
    ServerReflectionResponse {
        valid_host: request.host.clone(),
        original_request: Some(request),
        message_response: Some(reply),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_file_imports_another() {
        // A question for one file is answered with that file alone.
        let set = FileDescriptorSet::decode(DESCRIPTORS).unwrap();
        assert!(set.file.len() == 4 && set.file.iter().all(|it| it.dependency.is_empty()));
    }

    #[test]
    fn symbols_of_every_kind_are_found() {
        for symbol in [
            "inference.GRPCInferenceService",
            "inference.GRPCInferenceService.ModelInfer",
            "inference.ModelInferRequest",
            "inference.ModelInferRequest.model_name",
            "inference.ModelInferRequest.InferInputTensor",
            "inference.ModelInferRequest.InferInputTensor.shape",
            "grpc.health.v1.HealthCheckResponse.ServingStatus",
            "grpc.health.v1.HealthCheckResponse.SERVING",
            "grpc.reflection.v1alpha.ServerReflection",
        ] {
            assert!(INDEX.reply(&Question::FileContainingSymbol(symbol.to_owned())).is_ok(), "{symbol}");
        }
        let unknown = Question::FileContainingSymbol("inference.Nothing".to_owned());
        assert_eq!(INDEX.reply(&unknown).unwrap_err().code, Code::NotFound);
    }
}
