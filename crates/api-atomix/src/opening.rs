//! `Create` and `Close`, which every type of primitive has twice.

use machines::primitive::Type;
use tonic::{Extensions, Status};
use wire::atomix::runtime::PrimitiveId;

use crate::error;
use crate::service::{Service, peer};
use crate::stores::Cache;

impl Service {
    pub(crate) async fn open(
        &self,
        id: Option<PrimitiveId>,
        primitive: Type,
        tags: &[String],
    ) -> Result<Option<Cache>, Status> {
        let id = id.ok_or_else(|| error::missing("the primitive's id"))?;
        let created = self.primitives.create(&id.name, primitive, tags).await;
        let (_, cache) = created.map_err(|error| error::status(&error))?;
        Ok(cache)
    }

    /// Closing what was never created, or is another type, is no error: it is not open.
    pub(crate) async fn close_one(
        &self,
        extensions: &Extensions,
        id: Option<PrimitiveId>,
        primitive: Type,
    ) -> Result<(), Status> {
        let id = id.ok_or_else(|| error::missing("the primitive's id"))?;
        if let Ok(target) = self.primitives.find(&id.name, primitive).await {
            self.sessions.close(peer(extensions)?, &target).await;
        }
        Ok(())
    }
}

/// `create` and `close` of a service's trait. They are written as `async_trait` writes them, which does not look into macros.
macro_rules! opening {
    ($package:ident, $primitive:ident, |$cache:ident| $config:expr) => {
        fn create<'me, 'async_trait>(
            &'me self,
            request: tonic::Request<wire::atomix::$package::CreateRequest>,
        ) -> crate::opening::Answer<'async_trait, wire::atomix::$package::CreateResponse>
        where
            'me: 'async_trait,
            Self: 'async_trait,
        {
            Box::pin(async move {
                let request = request.into_inner();
                let primitive = machines::primitive::Type::$primitive;
                let $cache = self.open(request.id, primitive, &request.tags).await?;
                let config = Some($config);
                Ok(tonic::Response::new(
                    wire::atomix::$package::CreateResponse { config },
                ))
            })
        }

        fn close<'me, 'async_trait>(
            &'me self,
            request: tonic::Request<wire::atomix::$package::CloseRequest>,
        ) -> crate::opening::Answer<'async_trait, wire::atomix::$package::CloseResponse>
        where
            'me: 'async_trait,
            Self: 'async_trait,
        {
            Box::pin(async move {
                let (_, extensions, request) = request.into_parts();
                let primitive = machines::primitive::Type::$primitive;
                self.close_one(&extensions, request.id, primitive).await?;
                Ok(tonic::Response::new(
                    wire::atomix::$package::CloseResponse {},
                ))
            })
        }
    };
}

pub(crate) use opening;

pub(crate) type Answer<'a, T> =
    std::pin::Pin<Box<dyn Future<Output = Result<tonic::Response<T>, Status>> + Send + 'a>>;
