package main

import (
	"context"
	"fmt"
	"sort"
	"strings"
	"time"

	"github.com/atomix/atomix/api/errors"
	mapv1 "github.com/atomix/atomix/api/runtime/map/v1"
	"github.com/atomix/go-sdk/pkg/client"
	_map "github.com/atomix/go-sdk/pkg/primitive/map"
	"github.com/atomix/go-sdk/pkg/types"
)

type texts = _map.Map[string, string]
type pair = _map.Entry[string, string]

func (s *session) texts(connection *client.Client, name string) texts {
	builder := client.Map[string, string](connection)(name).Codec(types.Scalar[string]())
	return must[texts](s.checks, "create map "+name)(builder.Get(s.ctx()))
}

func pairText(entry *pair) string {
	if entry == nil {
		return "nothing"
	}
	return fmt.Sprintf("%s=%s@%d", entry.Key, entry.Value, entry.Version)
}

// put is a step that writes.
func (s *session) put(m texts, key, value string, options ..._map.PutOption) *pair {
	return must[*pair](s.checks, "put "+key)(m.Put(s.ctx(), key, value, options...))
}

func maps(s *session) {
	name := s.name("map")
	ours, theirs := s.texts(s.client(), name), s.texts(s.client(), name)
	s.equal("a map has the name it was asked for by", ours.Name(), name)
	gives(s.checks, "a new map is empty", 0)(ours.Len(s.ctx()))
	mapPuts(s, ours, theirs)
	mapInserts(s, ours, theirs)
	mapUpdates(s, ours, theirs)
	mapRemoves(s, ours, theirs)
	mapOddities(s, ours, theirs)
	mapStub(s, name)
	mapTTLs(s, ours)
	mapWhole(s, ours, theirs)

	s.put(ours, "kept", "1")
	s.succeeds("a map is closed", ours.Close(s.ctx()))
	again := s.texts(s.client(), name)
	kept, err := again.Get(s.ctx(), "kept")
	s.need("get from a map that was closed", err)
	s.equal("a closed map keeps its entries", kept.Value, "1")
	tagged, err := client.Map[string, string](s.client())(s.name("tagged")).Tag("a").Codec(types.Scalar[string]()).Get(s.ctx())
	s.need("create a map with tags", err)
	gives(s.checks, "a map with tags works", 0)(tagged.Len(s.ctx()))
}

func mapPuts(s *session, ours, theirs texts) {
	ctx := s.ctx()
	refuses(s.checks, "an unknown key is not found", errors.NotFound)(ours.Get(ctx, "a"))
	first := s.put(ours, "a", "1")
	s.equal("a put answers with the key", first.Key, "a")
	s.equal("a put answers with the value", first.Value, "1")
	s.holds("a put answers with a version", first.Version > 0, first.Version, "more than 0")
	gives(s.checks, "another connection reads the same", first)(theirs.Get(ctx, "a"))
	second := s.put(theirs, "a", "2")
	s.holds("another value has a later version", second.Version > first.Version, second.Version, "a later one")
	gives(s.checks, "a put of an equal value changes nothing", second)(ours.Put(ctx, "a", "2"))
	refuses(s.checks, "a put at a stale version is refused", errors.Conflict)(ours.Put(ctx, "a", "3", _map.IfVersion(first.Version)))
	refuses(s.checks, "also one of an equal value", errors.Conflict)(ours.Put(ctx, "a", "2", _map.IfVersion(first.Version)))
	gives(s.checks, "a refused put writes nothing", second)(ours.Get(ctx, "a"))
	refuses(s.checks, "a put at a version of an unknown key is refused", errors.Conflict)(ours.Put(ctx, "x", "1", _map.IfVersion(first.Version)))
	third := s.put(ours, "a", "3", _map.IfVersion(second.Version))
	gives(s.checks, "a put at the version is taken", third)(theirs.Get(ctx, "a"))
}

func mapInserts(s *session, ours, theirs texts) {
	ctx := s.ctx()
	inserted := must[*pair](s.checks, "insert")(ours.Insert(ctx, "b", "1"))
	gives(s.checks, "an inserted entry is read", inserted)(theirs.Get(ctx, "b"))
	refuses(s.checks, "a key that is there is not inserted", errors.AlreadyExists)(theirs.Insert(ctx, "b", "2"))
	gives(s.checks, "a refused insert writes nothing", inserted)(theirs.Get(ctx, "b"))
}

func mapUpdates(s *session, ours, theirs texts) {
	ctx := s.ctx()
	refuses(s.checks, "an update of an unknown key is refused", errors.NotFound)(ours.Update(ctx, "x", "1"))
	refuses(s.checks, "also one at a version", errors.NotFound)(ours.Update(ctx, "x", "1", _map.IfVersion(1)))
	before := must[*pair](s.checks, "get")(ours.Get(ctx, "b"))
	equal := must[*pair](s.checks, "update")(ours.Update(ctx, "b", before.Value))
	s.holds("an update to an equal value has a later version", equal.Version > before.Version, equal.Version, "a later one")
	refuses(s.checks, "an update at a stale version is refused", errors.Conflict)(ours.Update(ctx, "b", "3", _map.IfVersion(before.Version)))
	gives(s.checks, "a refused update writes nothing", equal)(theirs.Get(ctx, "b"))
	after := must[*pair](s.checks, "update at the version")(theirs.Update(ctx, "b", "4", _map.IfVersion(equal.Version)))
	gives(s.checks, "an update at the version is taken", after)(ours.Get(ctx, "b"))
}

func mapRemoves(s *session, ours, theirs texts) {
	ctx := s.ctx()
	entry := s.put(ours, "r", "1")
	refuses(s.checks, "a remove of an unknown key is refused", errors.NotFound)(ours.Remove(ctx, "x"))
	refuses(s.checks, "also one at a version", errors.NotFound)(ours.Remove(ctx, "x", _map.IfVersion(1)))
	refuses(s.checks, "a remove at another version is refused", errors.Conflict)(ours.Remove(ctx, "r", _map.IfVersion(entry.Version+1)))
	gives(s.checks, "a refused remove removes nothing", entry)(theirs.Get(ctx, "r"))
	gives(s.checks, "a remove answers with the entry and its own version", entry)(theirs.Remove(ctx, "r", _map.IfVersion(entry.Version)))
	refuses(s.checks, "a removed key is not found", errors.NotFound)(ours.Get(ctx, "r"))
	again := must[*pair](s.checks, "insert again")(ours.Insert(ctx, "r", "1"))
	s.holds("no version is used twice", again.Version > entry.Version, again.Version, "a later one")
	gives(s.checks, "a remove without a version is taken", again)(ours.Remove(ctx, "r"))
}

func mapOddities(s *session, ours, theirs texts) {
	ctx := s.ctx()
	for _, key := range []string{"", " ", "a/b\x00c", "ключ", strings.Repeat("k", 4096)} {
		entry := s.put(ours, key, "")
		gives(s.checks, fmt.Sprintf("a key of %d bytes with an empty value works", len(key)), entry)(theirs.Get(ctx, key))
		gives(s.checks, "and is removed", entry)(theirs.Remove(ctx, key))
	}
	large := s.put(ours, "large", strings.Repeat("v", 1<<20))
	gives(s.checks, "a value of 1 MiB works", large)(theirs.Get(ctx, "large"))
	_, err := ours.Remove(ctx, "large")
	s.need("remove", err)
}

// mapStub checks what answers hold that the SDK does not pass on, and the locks of keys, for which it has no method.
func mapStub(s *session, name string) {
	ctx := s.ctx()
	m := mapv1.NewMapClient(s.stubs(s.client()))
	put := func(value string) *mapv1.PutResponse {
		request := &mapv1.PutRequest{ID: id(name), Key: "stub", Value: []byte(value)}
		return must[*mapv1.PutResponse](s.checks, "put")(m.Put(ctx, request))
	}
	first := put("1")
	s.holds("a put of a new key has no value before", first.PrevValue == nil, first.PrevValue, "none")
	second := put("2")
	s.equal("a put answers with the value before", second.PrevValue, &mapv1.VersionedValue{Value: []byte("1"), Version: first.Version})
	third := put("2")
	s.holds("a put of an equal value has no value before", third.PrevValue == nil, third.PrevValue, "none")
	updated, err := m.Update(ctx, &mapv1.UpdateRequest{ID: id(name), Key: "stub", Value: []byte("3")})
	s.need("update", err)
	s.equal("an update answers with the value before", updated.PrevValue, mapv1.VersionedValue{Value: []byte("2"), Version: second.Version})
	_, err = m.Remove(ctx, &mapv1.RemoveRequest{ID: id(name), Key: "stub"})
	s.need("remove", err)

	mapLocks(s, name)
}

// mapLocks: keys of a map for one connection, which the SDK has no call for.
func mapLocks(s *session, name string) {
	var stubs []mapv1.MapClient
	for i := 0; i < 3; i++ {
		stubs = append(stubs, mapv1.NewMapClient(s.stubs(s.client())))
	}
	keysLocked(s, locker{
		lock: func(ctx context.Context, by int, timeout *time.Duration, keys ...string) error {
			_, err := stubs[by].Lock(ctx, &mapv1.LockRequest{ID: id(name), Keys: keys, Timeout: timeout})
			return err
		},
		unlock: func(ctx context.Context, by int, keys ...string) error {
			_, err := stubs[by].Unlock(ctx, &mapv1.UnlockRequest{ID: id(name), Keys: keys})
			return err
		},
		close: func(ctx context.Context, by int) error {
			_, err := stubs[by].Close(ctx, &mapv1.CloseRequest{ID: id(name)})
			return err
		},
	})
}

// locker locks keys of something, by one of three connections.
type locker struct {
	lock   func(ctx context.Context, by int, timeout *time.Duration, keys ...string) error
	unlock func(ctx context.Context, by int, keys ...string) error
	close  func(ctx context.Context, by int) error
}

// keysLocked: all or none, in the order of coming, and for no longer than a session.
func keysLocked(s *session, l locker) {
	ctx := s.ctx()
	wait := func(ctx context.Context, by int, keys ...string) chan error {
		done := make(chan error, 1)
		go func() { done <- l.lock(ctx, by, nil, keys...) }()
		queued()
		return done
	}
	now, soon := time.Duration(0), 300*time.Millisecond
	s.need("lock two keys that are free", l.lock(ctx, 0, nil, "k", "l"))
	s.refused("a key that is held is refused to a try", l.lock(ctx, 1, &now, "l", "m"), errors.Conflict)
	s.succeeds("and nothing of that try is held", l.lock(ctx, 1, &now, "m"))
	s.refused("a wait with a timeout ends with a conflict", l.lock(ctx, 1, &soon, "k"), errors.Conflict)
	s.refused("keys of another connection are not unlocked", l.unlock(ctx, 1, "k"), errors.Conflict)
	cancelled, cancel := context.WithCancel(ctx)
	gone := wait(cancelled, 1, "k")
	next := wait(ctx, 2, "k")
	cancel()
	s.holds("a cancelled wait ends", <-gone != nil, "no error", "an error")
	s.need("unlock one of two keys", l.unlock(ctx, 0, "k"))
	s.succeeds("who waits gets it, past one who has gone", <-next)
	s.refused("the other one is still held", l.lock(ctx, 2, &now, "l"), errors.Conflict)
	last := wait(ctx, 1, "l")
	s.need("close on the connection of its holder", l.close(ctx, 0))
	s.succeeds("what a closed session held goes to who waits", <-last)
	s.refused("no key at all is refused", l.lock(ctx, 1, nil), errors.Invalid)
}

func mapTTLs(s *session, m texts) {
	ctx := s.ctx()
	begin := time.Now()
	s.put(m, "put", "1", _map.WithTTL(lifetime))
	must[*pair](s.checks, "insert with a time to live")(m.Insert(ctx, "insert", "1", _map.WithTTL(lifetime)))
	s.put(m, "update", "1")
	must[*pair](s.checks, "update with a time to live")(m.Update(ctx, "update", "2", _map.WithTTL(lifetime)))
	s.put(m, "cleared", "1", _map.WithTTL(lifetime))
	cleared := s.put(m, "cleared", "2")
	get := func(key string) func() error {
		return func() error {
			_, err := m.Get(s.ctx(), key)
			return err
		}
	}
	s.expires("what was put with a time to live expires", begin, get("put"))
	s.expires("what was inserted with one expires", begin, get("insert"))
	s.expires("what was updated with one expires", begin, get("update"))
	gives(s.checks, "a later put without one is for good", cleared)(m.Get(ctx, "cleared"))
}

func mapWhole(s *session, ours, theirs texts) {
	ctx := s.ctx()
	s.need("clear", ours.Clear(ctx))
	wanted := []string{}
	for index := 0; index < 300; index++ {
		wanted = append(wanted, pairText(s.put(ours, fmt.Sprintf("key-%03d", index), "1")))
	}
	gives(s.checks, "a map knows how many entries it has", len(wanted))(theirs.Len(ctx))
	s.equal("a list has every entry once", s.listed(theirs), wanted)
	s.succeeds("a map is cleared", theirs.Clear(ctx))
	gives(s.checks, "nothing is left then", 0)(ours.Len(ctx))
	s.equal("a list of nothing is empty", s.listed(ours), []string{})
	s.succeeds("an empty map is cleared", ours.Clear(ctx))
}

// listed is what a map lists, in order of keys.
func (s *session) listed(m texts) []string {
	stream, err := m.List(s.ctx())
	entries, err := all[*pair](stream, err)
	s.need("list", err)
	found := []string{}
	for _, entry := range entries {
		found = append(found, pairText(entry))
	}
	sort.Strings(found)
	return found
}
