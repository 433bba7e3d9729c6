//! gRPC reflection over what is served now.

use std::sync::LazyLock;

use base::limits;
use futures::stream::BoxStream;
use futures::{Stream, StreamExt};
use prost::Message;
use tonic::{Request, Response, Status, Streaming};
use tonic_reflection::pb::{v1, v1alpha};

use crate::catalog::Catalog;
use crate::transcode::descriptors::Descriptors;

use v1::server_reflection_request::MessageRequest as Asked;
use v1::server_reflection_response::MessageResponse as Told;

/// What is served besides the user's services.
const OWN: [&str; 3] = [
    "grpc.reflection.v1.ServerReflection",
    "grpc.reflection.v1alpha.ServerReflection",
    "grpc.health.v1.Health",
];

static OWN_DESCRIPTORS: LazyLock<[Descriptors; OWN.len()]> = LazyLock::new(|| {
    [
        v1::FILE_DESCRIPTOR_SET,
        v1alpha::FILE_DESCRIPTOR_SET,
        tonic_health::pb::FILE_DESCRIPTOR_SET,
    ]
    .map(|set| Descriptors::build(set).expect("published descriptors can be read"))
});

#[derive(Clone)]
pub(super) struct Reflection(Catalog);

impl Reflection {
    pub(super) fn of(catalog: Catalog) -> Reflection {
        Reflection(catalog)
    }

    fn tell(&self, asked: v1::ServerReflectionRequest) -> v1::ServerReflectionResponse {
        let told = asked
            .message_request
            .clone()
            .map(|question| self.answer(question));
        v1::ServerReflectionResponse {
            valid_host: asked.host.clone(),
            original_request: Some(asked),
            message_response: told,
        }
    }

    fn answer(&self, question: Asked) -> Told {
        let now = self.0.now();
        let users = now.specs().map(|spec| &spec.descriptors);
        let mut all = users.chain(OWN_DESCRIPTORS.iter());
        match question {
            Asked::FileByFilename(name) => files(all.find_map(|set| set.file_by_name(&name))),
            Asked::FileContainingSymbol(symbol) => files(all.find_map(|set| set.file_by_symbol(&symbol))),
            Asked::FileContainingExtension(wanted) => files(all.find_map(|set| {
                let number = wanted.extension_number.try_into().ok()?;
                set.file_by_extension(&wanted.containing_type, number)
            })),
            Asked::AllExtensionNumbersOfType(message) => {
                let numbers = all.find_map(|set| set.extension_numbers(&message));
                let numbers = numbers.unwrap_or_default().into_iter();
                Told::AllExtensionNumbersResponse(v1::ExtensionNumberResponse {
                    base_type_name: message,
                    extension_number: numbers.filter_map(|number| number.try_into().ok()).collect(),
                })
            }
            Asked::ListServices(_) => {
                let mut names: Vec<String> = now.services().map(|service| service.name.clone()).collect();
                names.sort_unstable();
                let names = OWN.map(str::to_owned).into_iter().chain(names);
                Told::ListServicesResponse(v1::ListServiceResponse {
                    service: names.map(|name| v1::ServiceResponse { name }).collect(),
                })
            }
        }
    }

    fn tell_all<In, Out>(&self, asked: Streaming<In>) -> BoxStream<'static, Result<Out, Status>>
    where
        In: Message + Send + 'static,
        Out: Message + Default + Send + 'static,
    {
        let reflection = self.clone();
        let told = asked.map(move |asked| {
            // The two versions have the same messages.
            let asked = v1::ServerReflectionRequest::decode(asked?.encode_to_vec().as_slice());
            let told = reflection.tell(asked.unwrap_or_default());
            Ok(Out::decode(told.encode_to_vec().as_slice()).unwrap_or_default())
        });
        until_quiet(told).boxed()
    }
}

/// Ends when nothing is asked for long.
fn until_quiet<T>(told: impl Stream<Item = T> + Send + 'static) -> impl Stream<Item = T> + Send + 'static {
    futures::stream::unfold(Box::pin(told), |mut told| async move {
        let next = tokio::time::timeout(limits::REFLECTION_IDLE, told.next()).await;
        Some((next.ok()??, told))
    })
}

/// What is not there is an empty list: that is what clients of the reference know.
fn files(found: Option<bytes::Bytes>) -> Told {
    let files = found.into_iter().map(|file| file.to_vec());
    Told::FileDescriptorResponse(v1::FileDescriptorResponse {
        file_descriptor_proto: files.collect(),
    })
}

#[tonic::async_trait]
impl v1::server_reflection_server::ServerReflection for Reflection {
    type ServerReflectionInfoStream = BoxStream<'static, Result<v1::ServerReflectionResponse, Status>>;

    async fn server_reflection_info(
        &self,
        request: Request<Streaming<v1::ServerReflectionRequest>>,
    ) -> Result<Response<Self::ServerReflectionInfoStream>, Status> {
        Ok(Response::new(self.tell_all(request.into_inner())))
    }
}

#[tonic::async_trait]
impl v1alpha::server_reflection_server::ServerReflection for Reflection {
    type ServerReflectionInfoStream = BoxStream<'static, Result<v1alpha::ServerReflectionResponse, Status>>;

    async fn server_reflection_info(
        &self,
        request: Request<Streaming<v1alpha::ServerReflectionRequest>>,
    ) -> Result<Response<Self::ServerReflectionInfoStream>, Status> {
        Ok(Response::new(self.tell_all(request.into_inner())))
    }
}
