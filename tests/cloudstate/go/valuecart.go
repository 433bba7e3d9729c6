package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/cloudstateio/go-support/cloudstate/encoding"
	"github.com/cloudstateio/go-support/cloudstate/protocol"
	"github.com/cloudstateio/go-support/cloudstate/value"
	"github.com/golang/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	"belay/tests/cloudstate/gen/valuecart"
	"belay/tests/cloudstate/gen/valuecartstore"
)

// valueCart is a value entity; its items are sorted by product.
type valueCart struct {
	items []*valuecartstore.LineItem
}

func newValueCart(value.EntityID) value.EntityHandler {
	return &valueCart{}
}

func (c *valueCart) HandleState(_ *value.Context, state *anypb.Any) error {
	stored := &valuecartstore.Cart{}
	if err := encoding.UnmarshalAny(state, stored); err != nil {
		return err
	}
	c.items = stored.Items
	return nil
}

// An error that is no ClientError ends the stream.
func (c *valueCart) HandleCommand(ctx *value.Context, name string, command proto.Message) (*anypb.Any, error) {
	switch command := command.(type) {
	case *valuecart.AddLineItem:
		return c.add(ctx, command)
	case *valuecart.RemoveLineItem:
		return c.remove(ctx, command)
	case *valuecart.GetShoppingCart:
		return c.get()
	case *valuecart.RemoveShoppingCart:
		c.items = nil
		ctx.Delete()
		return encoding.Empty, nil
	}
	return nil, fmt.Errorf("unknown command %s", name)
}

func (c *valueCart) add(ctx *value.Context, command *valuecart.AddLineItem) (*anypb.Any, error) {
	switch {
	case command.ProductId == crash:
		return nil, errCrash
	case command.Quantity <= 0:
		return nil, protocol.ClientError{Err: errQuantity}
	case command.Quantity > quantityMax:
		return nil, protocol.ClientError{Err: errTooLarge}
	}
	index, found := c.search(command.ProductId)
	if !found {
		c.items = slices.Insert(c.items, index, &valuecartstore.LineItem{ProductId: command.ProductId})
	}
	c.items[index].Name = command.Name
	c.items[index].Quantity += command.Quantity
	return c.store(ctx)
}

func (c *valueCart) remove(ctx *value.Context, command *valuecart.RemoveLineItem) (*anypb.Any, error) {
	index, found := c.search(command.ProductId)
	if !found {
		return nil, protocol.ClientError{Err: missing(command.ProductId)}
	}
	c.items = slices.Delete(c.items, index, index+1)
	return c.store(ctx)
}

func (c *valueCart) store(ctx *value.Context) (*anypb.Any, error) {
	return encoding.Empty, ctx.Update(encoding.MarshalAny(&valuecartstore.Cart{Items: c.items}))
}

func (c *valueCart) get() (*anypb.Any, error) {
	answer := &valuecart.Cart{}
	for _, item := range c.items {
		answer.Items = append(answer.Items, &valuecart.LineItem{
			ProductId: item.ProductId,
			Name:      item.Name,
			Quantity:  item.Quantity,
		})
	}
	return encoding.MarshalAny(answer)
}

// search gives the place where the product is, or would be.
func (c *valueCart) search(product string) (int, bool) {
	return slices.BinarySearchFunc(c.items, product, func(item *valuecartstore.LineItem, product string) int {
		return strings.Compare(item.ProductId, product)
	})
}
