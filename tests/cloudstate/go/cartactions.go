package main

import (
	"errors"
	"fmt"

	"github.com/cloudstateio/go-support/cloudstate/action"
	"github.com/cloudstateio/go-support/cloudstate/encoding"
	"github.com/cloudstateio/go-support/cloudstate/protocol"
	"github.com/golang/protobuf/proto"

	cartpb "belay/tests/cloudstate/gen/cart"
	"belay/tests/cloudstate/gen/cartactions"
)

// A command that nobody serves.
const (
	unknownService = "com.example.Nowhere"
	unknownCommand = "Nothing"
)

// cartActions lives as long as one call.
type cartActions struct {
	// count is of what the call has done so far.
	count int32
}

func newCartActions() action.EntityHandler {
	return &cartActions{}
}

func (c *cartActions) HandleCommand(ctx *action.Context, _ string, command proto.Message) error {
	switch command := command.(type) {
	case *cartpb.AddLineItem:
		return c.add(ctx, command)
	case *cartpb.RemoveLineItem:
		return forward(ctx, "RemoveItem", command)
	case *cartpb.GetShoppingCart:
		return c.show(ctx, command)
	case *cartactions.AddItemBeside:
		return c.addBeside(ctx, command)
	case *cartactions.WatchCart:
		return c.watch(ctx, command)
	case *cartactions.Note:
		return c.note(ctx, command)
	}
	return fmt.Errorf("unknown command %T", command)
}

func (c *cartActions) add(ctx *action.Context, item *cartpb.AddLineItem) error {
	switch ctx.Command().Name {
	case "AddAll":
		return c.addOne(ctx, item)
	case "AddEach":
		return ctx.Respond(c.addOne(ctx, item))
	}
	return forward(ctx, "AddItem", item)
}

func (c *cartActions) addOne(ctx *action.Context, item *cartpb.AddLineItem) error {
	c.count++
	if err := affect(ctx, item, true); err != nil {
		return err
	}
	return answer(ctx, &cartactions.Note{Text: fmt.Sprintf("%d added", c.count)})
}

func (c *cartActions) addBeside(ctx *action.Context, command *cartactions.AddItemBeside) error {
	if err := affect(ctx, command.Item, command.Synchronous); err != nil {
		return err
	}
	if command.Failure != "" {
		return protocol.ClientError{Err: errors.New(command.Failure)}
	}
	return answer(ctx, &cartactions.Note{Text: "added beside"})
}

func (c *cartActions) show(ctx *action.Context, command *cartpb.GetShoppingCart) error {
	if ctx.Command().Name == "ShowEach" {
		return ctx.Respond(forward(ctx, "GetCart", command))
	}
	return forward(ctx, "GetCart", command)
}

// watch forwards once; the SDK calls it until it cancels.
func (c *cartActions) watch(ctx *action.Context, command *cartactions.WatchCart) error {
	if c.count >= command.Times {
		ctx.Cancel()
		return nil
	}
	c.count++
	return ctx.Respond(forward(ctx, "GetCart", &cartpb.GetShoppingCart{UserId: command.UserId}))
}

func (c *cartActions) note(ctx *action.Context, note *cartactions.Note) error {
	switch name := ctx.Command().Name; name {
	case "Refuse":
		return protocol.ClientError{Err: errors.New(note.Text)}
	case "Break":
		return errors.New(note.Text)
	case "Silence":
		return nil
	case "ForwardNowhere":
		payload, err := encoding.MarshalAny(note)
		ctx.Forward(&protocol.Forward{ServiceName: unknownService, CommandName: unknownCommand, Payload: payload})
		return err
	case "AffectNowhere":
		payload, err := encoding.MarshalAny(note)
		if err != nil {
			return err
		}
		ctx.SideEffect(&protocol.SideEffect{
			ServiceName: unknownService,
			CommandName: unknownCommand,
			Payload:     payload,
			Synchronous: true,
		})
		return answer(ctx, note)
	default:
		return fmt.Errorf("unknown command %s", name)
	}
}

func forward(ctx *action.Context, name string, command proto.Message) error {
	payload, err := encoding.MarshalAny(command)
	if err != nil {
		return err
	}
	ctx.Forward(&protocol.Forward{ServiceName: cartService, CommandName: name, Payload: payload})
	return nil
}

func affect(ctx *action.Context, item *cartpb.AddLineItem, synchronous bool) error {
	payload, err := encoding.MarshalAny(item)
	if err != nil {
		return err
	}
	ctx.SideEffect(&protocol.SideEffect{
		ServiceName: cartService,
		CommandName: "AddItem",
		Payload:     payload,
		Synchronous: synchronous,
	})
	return nil
}
