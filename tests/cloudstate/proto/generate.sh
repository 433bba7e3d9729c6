#!/usr/bin/env bash
# Makes everything in js/user-function.desc, python/gen and go/gen anew from the .proto files here. Run it after a change
# of one of them, and after `npm ci` in ../js: the options' definitions are those that the SDKs bring along.
set -euo pipefail
cd "$(dirname "$0")/.."

# The last version whose Python code protobuf 4.25 takes, which ../python runs on.
if [ ! -d proto/venv ]; then
  python3 -m venv proto/venv
  proto/venv/bin/pip install --quiet grpcio-tools==1.62.3 setuptools==75.8.0
fi
protoc() { proto/venv/bin/python -m grpc_tools.protoc -Iproto "$@"; }

# Dialect L: `cloudstate.entity_key` is 50002.
legacy=js/node_modules/cloudstate/proto
protoc -I"$legacy" --include_imports --descriptor_set_out=js/user-function.desc \
  shoppingcart.proto domain.proto numbers.proto
rm -rf python/gen go/gen && mkdir python/gen
protoc -I"$legacy" --python_out=python/gen shoppingcart.proto domain.proto

# Dialect N: it is 1080.
current="$(cd go && go list -m -f '{{.Dir}}' github.com/cloudstateio/go-support)/protobuf/frontend"
(cd go && go build -o target/protoc-gen-go google.golang.org/protobuf/cmd/protoc-gen-go)
module=belay/tests/cloudstate
protoc -I"$current" --plugin=go/target/protoc-gen-go --go_out=go --go_opt="module=$module" \
  --go_opt="Mshoppingcart.proto=$module/gen/cart;cart" \
  --go_opt="Mdomain.proto=$module/gen/cartstore;cartstore" \
  --go_opt="Mvalue_shoppingcart.proto=$module/gen/valuecart;valuecart" \
  --go_opt="Mvalue_domain.proto=$module/gen/valuecartstore;valuecartstore" \
  --go_opt="Mnumbers.proto=$module/gen/numbers;numbers" \
  --go_opt="Mcart_actions.proto=$module/gen/cartactions;cartactions" \
  shoppingcart.proto domain.proto value_shoppingcart.proto value_domain.proto numbers.proto cart_actions.proto
