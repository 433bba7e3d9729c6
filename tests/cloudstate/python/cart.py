"""The cart of ../README.md with the unmodified Cloudstate SDK for Python: `HOST=... PORT=... cart.py`."""

import os
import pathlib
import sys

# The SDK's own generated code is of 2020, which no other implementation takes. Read when protobuf is first imported.
os.environ["PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION"] = "python"
sys.path.insert(0, str(pathlib.Path(__file__).parent / "gen"))

import domain_pb2
import shoppingcart_pb2
from cloudstate.cloudstate import CloudState
from cloudstate.event_sourced_context import EventSourcedCommandContext
from cloudstate.event_sourced_entity import EventSourcedEntity
from google.protobuf.empty_pb2 import Empty


class Items:
    """Stored items by product, in the order in which they came."""

    def __init__(self, entity_id=""):
        self.by_product = {}


cart = EventSourcedEntity(
    shoppingcart_pb2.DESCRIPTOR.services_by_name["ShoppingCart"],
    [shoppingcart_pb2.DESCRIPTOR, domain_pb2.DESCRIPTOR],
    Items,
    persistence_id="shopping-cart",
    # Never unless asked to: the SDK cannot load a cart that has a snapshot.
    snapshot_every=int(os.environ.get("SNAPSHOT_EVERY", "0")),
)


@cart.snapshot()
def snapshot(state: Items):
    return domain_pb2.Cart(items=state.by_product.values())


@cart.snapshot_handler()
def handle_snapshot(state: Items, stored: domain_pb2.Cart):
    state.by_product = {item.productId: item for item in stored.items}


@cart.event_handler(domain_pb2.ItemAdded)
def item_added(state: Items, event: domain_pb2.ItemAdded):
    item = domain_pb2.LineItem()
    item.CopyFrom(event.item)
    old = state.by_product.get(item.productId)
    if old:
        item.quantity += old.quantity
    state.by_product[item.productId] = item


@cart.event_handler(domain_pb2.ItemRemoved)
def item_removed(state: Items, event: domain_pb2.ItemRemoved):
    state.by_product.pop(event.productId, None)


@cart.command_handler("AddItem")
def add_item(state: Items, command: shoppingcart_pb2.AddLineItem, context: EventSourcedCommandContext):
    if command.product_id == "crash":
        raise RuntimeError("crashed as asked")
    if command.quantity <= 0:
        context.fail("the quantity must be positive")
        return None
    item = domain_pb2.LineItem(productId=command.product_id, name=command.name, quantity=command.quantity)
    context.emit(domain_pb2.ItemAdded(item=item))
    if command.quantity > 1000:
        context.fail("the quantity is too large")
    return Empty()


@cart.command_handler("RemoveItem")
def remove_item(state: Items, command: shoppingcart_pb2.RemoveLineItem, context: EventSourcedCommandContext):
    if command.product_id not in state.by_product:
        context.fail(f"{command.product_id} is not in the cart")
        return None
    context.emit(domain_pb2.ItemRemoved(productId=command.product_id))
    return Empty()


@cart.command_handler("GetCart")
def get_cart(state: Items, command: shoppingcart_pb2.GetShoppingCart):
    items = [
        shoppingcart_pb2.LineItem(product_id=item.productId, name=item.name, quantity=item.quantity)
        for item in state.by_product.values()
    ]
    return shoppingcart_pb2.Cart(items=items)


if __name__ == "__main__":
    CloudState().register_event_sourced_entity(cart).start()
