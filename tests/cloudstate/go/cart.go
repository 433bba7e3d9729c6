package main

import (
	"errors"
	"fmt"
	"slices"

	"github.com/cloudstateio/go-support/cloudstate/eventsourced"
	"github.com/golang/protobuf/proto"
	"google.golang.org/protobuf/types/known/emptypb"

	cartpb "belay/tests/cloudstate/gen/cart"
	"belay/tests/cloudstate/gen/cartstore"
)

const cartService = "com.example.shoppingcart.ShoppingCart"

const (
	crash       = "crash"
	quantityMax = 1000
)

var (
	errCrash    = errors.New("crashed as asked")
	errQuantity = errors.New("the quantity must be positive")
	errTooLarge = errors.New("the quantity is too large")
)

func missing(product string) error {
	return fmt.Errorf("%s is not in the cart", product)
}

// cart is event sourced; its items are in the order in which they came.
type cart struct {
	items []*cartstore.LineItem
}

func newCart(eventsourced.EntityID) eventsourced.EntityHandler {
	return &cart{}
}

func (c *cart) HandleCommand(ctx *eventsourced.Context, name string, command proto.Message) (proto.Message, error) {
	switch command := command.(type) {
	case *cartpb.AddLineItem:
		return c.add(ctx, command)
	case *cartpb.RemoveLineItem:
		return c.remove(ctx, command)
	case *cartpb.GetShoppingCart:
		return c.get(), nil
	}
	return nil, fmt.Errorf("unknown command %s", name)
}

func (c *cart) add(ctx *eventsourced.Context, command *cartpb.AddLineItem) (proto.Message, error) {
	if command.Quantity <= 0 {
		return nil, errQuantity
	}
	ctx.Emit(&cartstore.ItemAdded{Item: &cartstore.LineItem{
		ProductId: command.ProductId,
		Name:      command.Name,
		Quantity:  command.Quantity,
	}})
	if command.Quantity > quantityMax {
		return nil, errTooLarge
	}
	return &emptypb.Empty{}, nil
}

func (c *cart) remove(ctx *eventsourced.Context, command *cartpb.RemoveLineItem) (proto.Message, error) {
	if c.index(command.ProductId) < 0 {
		return nil, missing(command.ProductId)
	}
	ctx.Emit(&cartstore.ItemRemoved{ProductId: command.ProductId})
	return &emptypb.Empty{}, nil
}

func (c *cart) get() *cartpb.Cart {
	answer := &cartpb.Cart{}
	for _, item := range c.items {
		answer.Items = append(answer.Items, &cartpb.LineItem{
			ProductId: item.ProductId,
			Name:      item.Name,
			Quantity:  item.Quantity,
		})
	}
	return answer
}

func (c *cart) HandleEvent(_ *eventsourced.Context, event interface{}) error {
	switch event := event.(type) {
	case *cartstore.ItemAdded:
		if event.Item.GetProductId() == crash {
			// What a command handler returns would be an answer to the client, and the stream would go on.
			return errCrash
		}
		c.added(event.Item)
	case *cartstore.ItemRemoved:
		if index := c.index(event.ProductId); index >= 0 {
			c.items = slices.Delete(c.items, index, index+1)
		}
	default:
		return fmt.Errorf("unknown event %T", event)
	}
	return nil
}

func (c *cart) added(item *cartstore.LineItem) {
	index := c.index(item.ProductId)
	if index < 0 {
		// A copy: the event is yet to be sent.
		c.items = append(c.items, proto.Clone(item).(*cartstore.LineItem))
		return
	}
	c.items[index].Name = item.Name
	c.items[index].Quantity += item.Quantity
}

func (c *cart) Snapshot(*eventsourced.Context) (interface{}, error) {
	return &cartstore.Cart{Items: c.items}, nil
}

func (c *cart) HandleSnapshot(_ *eventsourced.Context, snapshot interface{}) error {
	stored, ok := snapshot.(*cartstore.Cart)
	if !ok {
		return fmt.Errorf("unknown snapshot %T", snapshot)
	}
	c.items = stored.Items
	return nil
}

// index is negative where the product is not in the cart.
func (c *cart) index(product string) int {
	return slices.IndexFunc(c.items, func(item *cartstore.LineItem) bool { return item.ProductId == product })
}
