//! Server reflection, as grpcurl and the libraries ask: what is there, and what it is made of.

use prost::Message;
use prost_types::FileDescriptorProto;
use weir_proto::generated::reflection::server_reflection_request::MessageRequest as Question;
use weir_proto::generated::reflection::server_reflection_response::MessageResponse as Reply;
use weir_proto::generated::reflection::*;

use super::{Client, Stream};
use crate::harness::mesh;

type Reflection = Stream<ServerReflectionRequest, ServerReflectionResponse>;

const VERSIONS: [&str; 2] =
    ["grpc.reflection.v1.ServerReflection", "grpc.reflection.v1alpha.ServerReflection"];

async fn ask(stream: &mut Reflection, question: Question) -> Reply {
    let request = ServerReflectionRequest { host: "h".to_owned(), message_request: Some(question) };
    stream.send(request.clone()).await;
    let answer = stream.next().await.unwrap().unwrap();
    assert_eq!((answer.valid_host.as_str(), answer.original_request), ("h", Some(request)));
    answer.message_response.unwrap()
}

fn file(reply: Reply) -> FileDescriptorProto {
    let Reply::FileDescriptorResponse(it) = reply else { panic!("{reply:?}") };
    FileDescriptorProto::decode(&it.file_descriptor_proto[0][..]).unwrap()
}

fn error(reply: Reply) -> (i32, String) {
    let Reply::ErrorResponse(it) = reply else { panic!("{reply:?}") };
    (it.error_code, it.error_message)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tool_learns_every_method_in_both_versions() {
    let mesh = mesh("deploy/samples/iris.yaml").await;
    let mut client = Client::connect(mesh.http()).await;
    for version in VERSIONS {
        let mut stream: Reflection =
            client.open(&format!("{version}/ServerReflectionInfo"), &[]).await.unwrap();
        let Reply::ListServicesResponse(list) = ask(&mut stream, Question::ListServices(String::new())).await
        else {
            panic!("no list")
        };
        let names: Vec<_> = list.service.iter().map(|it| it.name.as_str()).collect();
        assert_eq!(names, [super::SERVICE, "grpc.health.v1.Health", VERSIONS[0], VERSIONS[1]]);
        for name in names {
            let it = file(ask(&mut stream, Question::FileContainingSymbol(name.to_owned())).await);
            assert!(name.starts_with(it.package()), "{name} is in {}", it.name());
            assert_eq!(file(ask(&mut stream, Question::FileByFilename(it.name().to_owned())).await), it);
        }
        // What is not known is an error in the stream, which goes on.
        let unknown = Question::FileContainingSymbol("no.such.Thing".to_owned());
        assert_eq!(error(ask(&mut stream, unknown).await), (5, "no symbol `no.such.Thing`".to_owned()));
        let unknown = Question::FileByFilename("no.proto".to_owned());
        assert_eq!(error(ask(&mut stream, unknown).await).0, 5);
        let message = "inference.ModelInferRequest".to_owned();
        let numbers = ask(&mut stream, Question::AllExtensionNumbersOfType(message.clone())).await;
        let none = ExtensionNumberResponse { base_type_name: message.clone(), extension_number: Vec::new() };
        assert_eq!(numbers, Reply::AllExtensionNumbersResponse(none));
        let extension = ExtensionRequest { containing_type: message, extension_number: 100 };
        assert_eq!(error(ask(&mut stream, Question::FileContainingExtension(extension)).await).0, 5);
        stream.half_close();
        assert_eq!(stream.next().await.unwrap(), None);
    }
}

/// What reflection lists is served: no method of it answers that it is not offered.
#[tokio::test(flavor = "multi_thread")]
async fn every_method_that_is_listed_is_offered() {
    let mesh = mesh("deploy/samples/iris.yaml").await;
    let mut client = Client::connect(mesh.http()).await;
    let set = prost_types::FileDescriptorSet::decode(weir_proto::generated::DESCRIPTORS).unwrap();
    let mut asked = 0;
    for file in set.file {
        for service in &file.service {
            for method in &service.method {
                let path = format!("{}.{}/{}", file.package(), service.name(), method.name());
                if let Err(status) = client.open_closed::<(), ()>(&path, ()).await {
                    assert_ne!(status.code(), tonic::Code::Unimplemented, "{path}: {status}");
                }
                asked += 1;
            }
        }
    }
    assert_eq!(asked, 15);
}
