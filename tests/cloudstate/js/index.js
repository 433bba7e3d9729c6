"use strict";

// The services of ../README.md with the unmodified Cloudstate SDK for JavaScript: `HOST=... PORT=... node index.js`.

const fs = require("fs");
const path = require("path");

// The SDK looks for user-function.desc and package.json there.
process.chdir(__dirname);

// The SDK's install step, which does not run here, would have fetched Google's basic definitions. All but this one are
// part of protobufjs.
const definition = "google/protobuf/descriptor.proto";
const copy = path.join("node_modules/cloudstate/protoc/include", definition);
fs.mkdirSync(path.dirname(copy), { recursive: true });
fs.copyFileSync(path.join("node_modules/protobufjs", definition), copy);

const { CloudState, EventSourced, Stateless } = require("cloudstate");

const includeDirs = ["../proto"];

const cart = new EventSourced(["shoppingcart.proto", "domain.proto"], "com.example.shoppingcart.ShoppingCart", {
  includeDirs,
  persistenceId: "shopping-cart",
  snapshotEvery: 5,
});

const stored = "com.example.shoppingcart.persistence.";
const Cart = cart.lookupType(stored + "Cart");
const ItemAdded = cart.lookupType(stored + "ItemAdded");
const ItemRemoved = cart.lookupType(stored + "ItemRemoved");

function addItem({ productId, name, quantity }, state, context) {
  if (productId === "crash") throw new Error("crashed as asked");
  if (quantity <= 0) context.fail("the quantity must be positive");
  context.emit(ItemAdded.create({ item: { productId, name, quantity } }));
  if (quantity > 1000) context.fail("the quantity is too large");
  return {};
}

function removeItem({ productId }, state, context) {
  if (!state.items.some((item) => item.productId === productId)) context.fail(`${productId} is not in the cart`);
  context.emit(ItemRemoved.create({ productId }));
  return {};
}

function getCart(command, state) {
  return state;
}

function itemAdded({ item }, state) {
  const old = state.items.find((other) => other.productId === item.productId);
  if (old) {
    Object.assign(old, { name: item.name, quantity: old.quantity + item.quantity });
  } else {
    state.items.push(item);
  }
  return state;
}

function itemRemoved({ productId }, state) {
  state.items = state.items.filter((item) => item.productId !== productId);
  return state;
}

cart.setInitial(() => Cart.create({ items: [] }));
cart.setBehavior(() => ({
  commandHandlers: { AddItem: addItem, RemoveItem: removeItem, GetCart: getCart },
  eventHandlers: { ItemAdded: itemAdded, ItemRemoved: itemRemoved },
}));

const numbers = new Stateless(["numbers.proto"], "com.example.numbers.Numbers", { includeDirs });

function double({ value }) {
  if (value.isNegative()) throw new Error(`${value} is negative`);
  return { value: value.multiply(2) };
}

function count(stream, { value }) {
  for (let number = 1; value.greaterThanOrEqual(number); number++) stream.write({ value: number });
  stream.end();
}

/** Nothing tells a handler that the client's stream ended, so a zero does. */
function doubleEach(stream, { value }) {
  stream.write({ value: value.multiply(2) });
  if (value.isZero()) stream.end();
}

// No handler for Sum: the SDK fails before it calls one.
numbers.commandHandlers = { Double: double, Count: count, DoubleEach: doubleEach };

new CloudState().addEntity(cart, numbers).start({
  bindAddress: process.env.HOST || "127.0.0.1",
  bindPort: Number(process.env.PORT || 8080),
});
