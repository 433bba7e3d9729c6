package main

import (
	"fmt"

	"github.com/cloudstateio/go-support/cloudstate/action"
	"github.com/cloudstateio/go-support/cloudstate/encoding"
	"github.com/cloudstateio/go-support/cloudstate/protocol"
	"github.com/golang/protobuf/proto"

	numberspb "belay/tests/cloudstate/gen/numbers"
)

// numbers lives as long as one call.
type numbers struct {
	// sum is of all numbers so far.
	sum int64
	// refusal is why there will be no sum.
	refusal error
	// count is the last number given.
	count int64
}

func newNumbers() action.EntityHandler {
	return &numbers{}
}

// The name is missing in all but the first message of a stream, which has nothing else: the context has it always.
func (n *numbers) HandleCommand(ctx *action.Context, _ string, command proto.Message) error {
	number, ok := command.(*numberspb.Number)
	if !ok {
		return fmt.Errorf("unknown command %T", command)
	}
	switch name := ctx.Command().Name; name {
	case "Double":
		return n.double(ctx, number.Value)
	case "Sum":
		return n.add(ctx, number.Value)
	case "Count":
		return n.next(ctx, number.Value)
	case "DoubleEach":
		return ctx.Respond(n.double(ctx, number.Value))
	default:
		return fmt.Errorf("unknown command %s", name)
	}
}

func (n *numbers) double(ctx *action.Context, value int64) error {
	if err := refuse(value); err != nil {
		return err
	}
	return answer(ctx, &numberspb.Number{Value: 2 * value})
}

// add prepares the answer, which the SDK sends when the client's stream ends.
func (n *numbers) add(ctx *action.Context, value int64) error {
	if n.refusal == nil {
		n.refusal = refuse(value)
	}
	if n.refusal != nil {
		return n.refusal
	}
	n.sum += value
	return answer(ctx, &numberspb.Number{Value: n.sum})
}

// next gives one number; the SDK calls it until it cancels.
func (n *numbers) next(ctx *action.Context, limit int64) error {
	if err := refuse(limit); err != nil {
		ctx.Cancel()
		return ctx.Respond(err)
	}
	if n.count == limit {
		ctx.Cancel()
		return nil
	}
	n.count++
	if err := answer(ctx, &numberspb.Number{Value: n.count}); err != nil {
		return err
	}
	return ctx.Respond(nil)
}

func refuse(value int64) error {
	if value < 0 {
		return protocol.ClientError{Err: fmt.Errorf("%d is negative", value)}
	}
	return nil
}

func answer(ctx *action.Context, message proto.Message) error {
	payload, err := encoding.MarshalAny(message)
	if err != nil {
		return err
	}
	ctx.RespondWith(payload)
	return nil
}
