use super::*;
use crate::testing::context;

#[tokio::test]
async fn without_primitives_there_is_nothing_to_show() {
    let opened = PrimitivesDriver
        .open("shared", &Settings::default(), &context())
        .await;
    assert_eq!(opened.err().map(|error| error.code()), Some(codes::UNIMPLEMENTED));
}
