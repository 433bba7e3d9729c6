//! `spec.proto.runtime.v1.Runtime`: which file answers which call.

use futures::stream::BoxStream;
use tonic::{Request, Response, Status, Streaming};
use wire::layotto as pb;
use wire::layotto::runtime_server::Runtime;

use crate::service::Service;
use crate::{binding, config, file, hello, invoke, lock, pubsub, secret, sequencer, state};

type Answer<T> = Result<Response<T>, Status>;

#[tonic::async_trait]
impl Runtime for Service {
    type SubscribeConfigurationStream =
        BoxStream<'static, Result<pb::SubscribeConfigurationResponse, Status>>;
    type SubscribeTopicEventsStream = pubsub::Events;
    type GetFileStream = BoxStream<'static, Result<pb::GetFileResponse, Status>>;

    async fn say_hello(&self, request: Request<pb::SayHelloRequest>) -> Answer<pb::SayHelloResponse> {
        hello::say(self, request.into_inner()).map(Response::new)
    }

    async fn invoke_service(&self, request: Request<pb::InvokeServiceRequest>) -> Answer<pb::InvokeResponse> {
        invoke::invoke(self, request).await
    }

    async fn get_configuration(
        &self,
        request: Request<pb::GetConfigurationRequest>,
    ) -> Answer<pb::GetConfigurationResponse> {
        config::get(self, request.into_inner()).await.map(Response::new)
    }

    async fn save_configuration(&self, request: Request<pb::SaveConfigurationRequest>) -> Answer<()> {
        config::save(self, request.into_inner()).await.map(Response::new)
    }

    async fn delete_configuration(&self, request: Request<pb::DeleteConfigurationRequest>) -> Answer<()> {
        config::delete(self, request.into_inner())
            .await
            .map(Response::new)
    }

    async fn subscribe_configuration(
        &self,
        request: Request<Streaming<pb::SubscribeConfigurationRequest>>,
    ) -> Answer<Self::SubscribeConfigurationStream> {
        Ok(Response::new(config::subscribe(self, request.into_inner())))
    }

    async fn try_lock(&self, request: Request<pb::TryLockRequest>) -> Answer<pb::TryLockResponse> {
        lock::try_lock(self, request.into_inner()).await
    }

    async fn unlock(&self, request: Request<pb::UnlockRequest>) -> Answer<pb::UnlockResponse> {
        lock::unlock(self, request.into_inner()).await
    }

    async fn lock_keep_alive(
        &self,
        request: Request<pb::LockKeepAliveRequest>,
    ) -> Answer<pb::LockKeepAliveResponse> {
        lock::keep_alive(self, request.into_inner()).await
    }

    async fn get_next_id(&self, request: Request<pb::GetNextIdRequest>) -> Answer<pb::GetNextIdResponse> {
        sequencer::next_id(self, request.into_inner())
            .await
            .map(Response::new)
    }

    async fn get_state(&self, request: Request<pb::GetStateRequest>) -> Answer<pb::GetStateResponse> {
        state::get(self, request.into_inner()).await.map(Response::new)
    }

    async fn get_bulk_state(
        &self,
        request: Request<pb::GetBulkStateRequest>,
    ) -> Answer<pb::GetBulkStateResponse> {
        state::get_bulk(self, request.into_inner())
            .await
            .map(Response::new)
    }

    async fn save_state(&self, request: Request<pb::SaveStateRequest>) -> Answer<()> {
        state::save(self, request.into_inner()).await.map(Response::new)
    }

    async fn delete_state(&self, request: Request<pb::DeleteStateRequest>) -> Answer<()> {
        state::delete(self, request.into_inner()).await.map(Response::new)
    }

    async fn delete_bulk_state(&self, request: Request<pb::DeleteBulkStateRequest>) -> Answer<()> {
        state::delete_bulk(self, request.into_inner())
            .await
            .map(Response::new)
    }

    async fn execute_state_transaction(
        &self,
        request: Request<pb::ExecuteStateTransactionRequest>,
    ) -> Answer<()> {
        state::transact(self, request.into_inner())
            .await
            .map(Response::new)
    }

    async fn publish_event(&self, request: Request<pb::PublishEventRequest>) -> Answer<()> {
        pubsub::publish(self, request).await
    }

    async fn subscribe_topic_events(
        &self,
        request: Request<Streaming<pb::SubscribeTopicEventsRequest>>,
    ) -> Answer<Self::SubscribeTopicEventsStream> {
        pubsub::subscribe(self, request).await
    }

    async fn get_file(&self, request: Request<pb::GetFileRequest>) -> Answer<Self::GetFileStream> {
        file::get(self, request.into_inner()).await.map(Response::new)
    }

    async fn put_file(&self, request: Request<Streaming<pb::PutFileRequest>>) -> Answer<()> {
        file::put(self, request.into_inner()).await.map(Response::new)
    }

    async fn list_file(&self, request: Request<pb::ListFileRequest>) -> Answer<pb::ListFileResp> {
        file::list(self, request.into_inner()).await.map(Response::new)
    }

    async fn del_file(&self, request: Request<pb::DelFileRequest>) -> Answer<()> {
        file::delete(self, request.into_inner()).await.map(Response::new)
    }

    async fn get_file_meta(
        &self,
        request: Request<pb::GetFileMetaRequest>,
    ) -> Answer<pb::GetFileMetaResponse> {
        file::stat(self, request.into_inner()).await.map(Response::new)
    }

    async fn invoke_binding(
        &self,
        request: Request<pb::InvokeBindingRequest>,
    ) -> Answer<pb::InvokeBindingResponse> {
        binding::invoke(self, request.into_inner())
            .await
            .map(Response::new)
    }

    async fn get_secret(&self, request: Request<pb::GetSecretRequest>) -> Answer<pb::GetSecretResponse> {
        secret::get(self, request.into_inner()).await.map(Response::new)
    }

    async fn get_bulk_secret(
        &self,
        request: Request<pb::GetBulkSecretRequest>,
    ) -> Answer<pb::GetBulkSecretResponse> {
        secret::get_bulk(self, request.into_inner())
            .await
            .map(Response::new)
    }
}
