package main

import (
	"context"
	"fmt"
	"time"

	"github.com/atomix/atomix/api/errors"
	valuev1 "github.com/atomix/atomix/api/runtime/value/v1"
	"github.com/atomix/go-sdk/pkg/client"
	"github.com/atomix/go-sdk/pkg/primitive"
	"github.com/atomix/go-sdk/pkg/primitive/value"
	"github.com/atomix/go-sdk/pkg/types"
)

type single = value.Value[string]
type versioned = primitive.Versioned[string]

func (s *session) single(connection *client.Client, name string) single {
	builder := client.Value[string](connection)(name).Codec(types.Scalar[string]())
	return must[single](s.checks, "create value "+name)(builder.Get(s.ctx()))
}

func versionedText(versioned versioned) string {
	return fmt.Sprintf("%s@%d", versioned.Value, versioned.Version)
}

func valueEventText(event value.Event[string]) string {
	switch event := event.(type) {
	case *value.Created[string]:
		return "created " + versionedText(event.Value)
	case *value.Updated[string]:
		return "updated " + versionedText(event.PrevValue) + " to " + versionedText(event.Value)
	case *value.Deleted[string]:
		return "deleted " + versionedText(event.Value)
	}
	return fmt.Sprintf("%T", event)
}

func (s *session) valueEvents(ctx context.Context, v single) *follower[string] {
	events, err := v.Events(ctx)
	return told[value.Event[string]](s.checks, "listen to a value", events, err, valueEventText)
}

func (s *session) valueWatch(ctx context.Context, v single) *follower[string] {
	values, err := v.Watch(ctx)
	return told[versioned](s.checks, "watch a value", values, err, versionedText)
}

func (s *session) set(v single, value string, options ...value.SetOption) versioned {
	return must[versioned](s.checks, "set")(v.Set(s.ctx(), value, options...))
}

func values(s *session) {
	name := s.name("value")
	ours, theirs := s.single(s.client(), name), s.single(s.client(), name)
	s.equal("a value has the name it was asked for by", ours.Name(), name)
	valueWrites(s, ours, theirs)
	valueDeletes(s, ours, theirs)
	valueStreams(s, ours, theirs)
	valueTTLs(s)
	valueStub(s, s.name("value-stub"))
	valueEnds(s, ours, theirs)

	again, err := s.single(s.client(), name).Get(s.ctx())
	s.need("get a value that was closed", err)
	s.equal("a closed value is kept", again.Value, "last")
	tagged, err := client.Value[string](s.client())(s.name("tagged")).Tag("a").Codec(types.Scalar[string]()).Get(s.ctx())
	s.need("create a value with tags", err)
	s.equal("a value with tags works", s.set(tagged, "1").Value, "1")
}

func valueWrites(s *session, ours, theirs single) {
	ctx := s.ctx()
	refuses(s.checks, "a value that is not set is not found", errors.NotFound)(ours.Get(ctx))
	refuses(s.checks, "nor updated", errors.NotFound)(ours.Update(ctx, "1"))
	refuses(s.checks, "nor at a version", errors.NotFound)(ours.Update(ctx, "1", value.IfVersion(1)))
	s.refused("nor deleted", ours.Delete(ctx), errors.NotFound)
	first := s.set(ours, "1")
	s.equal("a set answers with the value", first.Value, "1")
	s.holds("a set answers with a version", first.Version > 0, first.Version, "more than 0")
	gives(s.checks, "another connection reads the same", first)(theirs.Get(ctx))
	second := s.set(theirs, "1")
	s.holds("a set of an equal value has a later version", second.Version > first.Version, second.Version, "a later one")
	refuses(s.checks, "an update at a stale version is refused", errors.Conflict)(ours.Update(ctx, "2", value.IfVersion(first.Version)))
	gives(s.checks, "a refused update writes nothing", second)(theirs.Get(ctx))
	third := must[versioned](s.checks, "update at the version")(ours.Update(ctx, "2", value.IfVersion(second.Version)))
	gives(s.checks, "an update at the version is taken", third)(theirs.Get(ctx))
	fourth := must[versioned](s.checks, "update")(theirs.Update(ctx, "2"))
	s.holds("an update to an equal value has a later version", fourth.Version > third.Version, fourth.Version, "a later one")
	gives(s.checks, "an empty value is a value", s.set(ours, ""))(theirs.Get(ctx))
}

func valueDeletes(s *session, ours, theirs single) {
	ctx := s.ctx()
	first := s.set(ours, "1")
	s.refused("a delete at another version is refused", theirs.Delete(ctx, value.IfVersion(first.Version+1)), errors.Conflict)
	gives(s.checks, "a refused delete deletes nothing", first)(theirs.Get(ctx))
	s.succeeds("a delete at the version is taken", theirs.Delete(ctx, value.IfVersion(first.Version)))
	refuses(s.checks, "a deleted value is not found", errors.NotFound)(ours.Get(ctx))
	again := s.set(ours, "1")
	s.holds("no version is used twice", again.Version > first.Version, again.Version, "a later one")
	s.succeeds("a delete without a version is taken", ours.Delete(ctx))
	s.refused("and the second finds nothing", ours.Delete(ctx), errors.NotFound)
}

func valueStreams(s *session, writer, reader single) {
	ctx := s.ctx()
	empty := s.valueWatch(s.open(), reader)
	events := s.valueEvents(s.open(), reader)
	first := s.set(writer, "1")
	events.is("a first set is told as created", "created "+versionedText(first))
	empty.is("a watch of nothing tells what comes", versionedText(first))
	watch := s.valueWatch(s.open(), reader)
	watch.is("a watch begins with what is there", versionedText(first))
	second := s.set(writer, "1")
	events.is("a set of an equal value is told", "updated "+versionedText(first)+" to "+versionedText(second))
	watch.is("and watched", versionedText(second))
	third := must[versioned](s.checks, "update")(writer.Update(ctx, "2"))
	events.is("an update is told", "updated "+versionedText(second)+" to "+versionedText(third))
	watch.is("and watched", versionedText(third))
	s.need("delete", writer.Delete(ctx))
	events.is("a delete is told with what was there", "deleted "+versionedText(third))
	watch.is("a watch shows a deleted value as it was", versionedText(third))
	events.silent("and nothing else is told")
	watch.silent("and nothing else is watched")
}

func valueTTLs(s *session) {
	set, updated := s.single(s.client(), s.name("value-set")), s.single(s.client(), s.name("value-updated"))
	kept := s.single(s.client(), s.name("value-kept"))
	begin := time.Now()
	s.set(set, "1", value.WithTTL(lifetime))
	s.set(updated, "1")
	must[versioned](s.checks, "update with a time to live")(updated.Update(s.ctx(), "2", value.WithTTL(lifetime)))
	s.set(kept, "1", value.WithTTL(lifetime))
	last := s.set(kept, "2")
	get := func(v single) func() error {
		return func() error {
			_, err := v.Get(s.ctx())
			return err
		}
	}
	s.expires("what was set with a time to live expires", begin, get(set))
	s.expires("what was updated with one expires", begin, get(updated))
	gives(s.checks, "a later set without one is for good", last)(kept.Get(s.ctx()))
}

// valueStub checks what the SDK does not pass on, and Insert, for which it has no method.
func valueStub(s *session, name string) {
	ctx := s.ctx()
	conn := s.stubs(s.client())
	_, err := valuev1.NewValuesClient(conn).Create(ctx, &valuev1.CreateRequest{ID: id(name)})
	s.need("create a value", err)
	stub := valuev1.NewValueClient(conn)
	stream, err := stub.Events(s.open(), &valuev1.EventsRequest{ID: id(name)})
	s.need("listen to a value", err)
	events := follow(s.checks, func() (valuev1.Event, error) {
		response, err := stream.Recv()
		return response.GetEvent(), err
	})
	opening := events.next("receive a first message")
	s.equal("events open with an empty message", opening.Event, nil)

	inserted, err := stub.Insert(ctx, &valuev1.InsertRequest{ID: id(name), Value: []byte("1")})
	s.need("insert", err)
	_, err = stub.Insert(ctx, &valuev1.InsertRequest{ID: id(name), Value: []byte("2")})
	s.refused("a value that is set is not inserted", err, errors.AlreadyExists)
	before := valuev1.VersionedValue{Value: []byte("1"), Version: inserted.Version}
	set, err := stub.Set(ctx, &valuev1.SetRequest{ID: id(name), Value: []byte("2")})
	s.need("set", err)
	s.equal("a set answers with the value before", set.PrevValue, &before)
	before = valuev1.VersionedValue{Value: []byte("2"), Version: set.Version}
	ttl := lifetime
	updated, err := stub.Update(ctx, &valuev1.UpdateRequest{ID: id(name), Value: []byte("3"), TTL: &ttl})
	s.need("update", err)
	s.equal("an update answers with the value before", updated.PrevValue, before)
	for index := 0; index < 3; index++ {
		events.next("receive what was written")
	}
	last := events.next("receive the end")
	deleted := last.GetDeleted()
	s.holds("an end by time is told as such", deleted != nil && deleted.Expired && deleted.Value.Version == updated.Version, last, "deleted, expired")
	fresh, err := stub.Set(ctx, &valuev1.SetRequest{ID: id(name), Value: []byte("4")})
	s.need("set", err)
	s.holds("a first set has no value before", fresh.PrevValue == nil, fresh.PrevValue, "none")
	gone, err := stub.Delete(ctx, &valuev1.DeleteRequest{ID: id(name)})
	s.need("delete", err)
	s.equal("a delete answers with the value and its own version", gone.Value, &valuev1.VersionedValue{Value: []byte("4"), Version: fresh.Version})
}

func valueEnds(s *session, writer, reader single) {
	closed, other := s.valueEvents(s.open(), reader), s.valueEvents(s.open(), writer)
	last := s.set(writer, "last")
	watch := s.valueWatch(s.open(), reader)
	watch.is("a watch begins with what is there", versionedText(last))
	s.succeeds("a value is closed", reader.Close(s.ctx()))
	closed.is("what was set before a close is told", "created "+versionedText(last))
	closed.ends("events end with their value's close")
	watch.ends("a watch ends with its value's close")
	other.is("another connection's events go on", "created "+versionedText(last))
}
