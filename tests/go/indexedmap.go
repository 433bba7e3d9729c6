package main

import (
	"fmt"
	"time"

	"github.com/atomix/atomix/api/errors"
	indexedmapv1 "github.com/atomix/atomix/api/runtime/indexedmap/v1"
	"github.com/atomix/go-sdk/pkg/client"
	"github.com/atomix/go-sdk/pkg/primitive/indexedmap"
	"github.com/atomix/go-sdk/pkg/types"
)

type positions = indexedmap.IndexedMap[string, string]
type position = indexedmap.Entry[string, string]

func (s *session) positions(connection *client.Client, name string) positions {
	builder := client.IndexedMap[string, string](connection)(name).Codec(types.Scalar[string]())
	return must[positions](s.checks, "create indexed map "+name)(builder.Get(s.ctx()))
}

func positionText(entry *position) string {
	if entry == nil {
		return "nothing"
	}
	return fmt.Sprintf("%d:%s=%s@%d", entry.Index, entry.Key, entry.Value, entry.Version)
}

// append is a step that writes.
func (s *session) append(m positions, key, value string, options ...indexedmap.AppendOption) *position {
	return must[*position](s.checks, "append "+key)(m.Append(s.ctx(), key, value, options...))
}

func indexedMaps(s *session) {
	name := s.name("indexedmap")
	ours, theirs := s.positions(s.client(), name), s.positions(s.client(), name)
	s.equal("an indexed map has the name it was asked for by", ours.Name(), name)
	indexedMapEmpty(s, ours)
	indexedMapAppends(s, ours, theirs)
	indexedMapOrder(s, ours, theirs)
	indexedMapUpdates(s, ours, theirs)
	indexedMapRemoves(s, ours, theirs)
	indexedMapClears(s, ours, theirs)
	indexedMapStub(s, s.name("indexedmap-stub"))
	indexedMapTTLs(s, ours)

	last := s.append(ours, "kept", "1")
	s.succeeds("an indexed map is closed", ours.Close(s.ctx()))
	again := s.positions(s.client(), name)
	gives(s.checks, "a closed indexed map keeps its entries", last)(again.Get(s.ctx(), "kept"))
	gives(s.checks, "and its indexes", last)(again.LastEntry(s.ctx()))
	builder := client.IndexedMap[string, string](s.client())(s.name("tagged")).Tag("a")
	tagged, err := builder.Codec(types.Scalar[string]()).Get(s.ctx())
	s.need("create an indexed map with tags", err)
	gives(s.checks, "an indexed map with tags works", 0)(tagged.Len(s.ctx()))
}

func indexedMapEmpty(s *session, m positions) {
	ctx := s.ctx()
	gives(s.checks, "a new indexed map is empty", 0)(m.Len(ctx))
	s.equal("a list of nothing is empty", s.listedPositions(m), []string{})
	refuses(s.checks, "nothing has no first index", errors.NotFound)(m.FirstIndex(ctx))
	refuses(s.checks, "nothing has no last index", errors.NotFound)(m.LastIndex(ctx))
	refuses(s.checks, "nothing has no first entry", errors.NotFound)(m.FirstEntry(ctx))
	refuses(s.checks, "nothing has no last entry", errors.NotFound)(m.LastEntry(ctx))
	refuses(s.checks, "nothing has no next index", errors.NotFound)(m.NextIndex(ctx, 0))
	refuses(s.checks, "nothing has no previous index", errors.NotFound)(m.PrevIndex(ctx, 9))
	refuses(s.checks, "an unknown key is not found", errors.NotFound)(m.Get(ctx, "a"))
	refuses(s.checks, "an unknown index is not found", errors.NotFound)(m.GetIndex(ctx, 1))
	refuses(s.checks, "there is no index 0", errors.NotFound)(m.GetIndex(ctx, 0))
}

func indexedMapAppends(s *session, ours, theirs positions) {
	ctx := s.ctx()
	first := s.append(ours, "a", "1")
	s.equal("the first index is 1", first.Index, indexedmap.Index(1))
	s.equal("an append answers with the key and the value", first.Key+"="+first.Value, "a=1")
	s.holds("an append answers with a version", first.Version > 0, first.Version, "more than 0")
	refuses(s.checks, "a key that is there is not appended", errors.AlreadyExists)(theirs.Append(ctx, "a", "2"))
	gives(s.checks, "a refused append writes nothing", first)(ours.Get(ctx, "a"))
	second := s.append(theirs, "b", "1")
	s.equal("the next index is 2", second.Index, indexedmap.Index(2))
	s.holds("a later append has a later version", second.Version > first.Version, second.Version, "a later one")
	gives(s.checks, "an entry is found by its index", second)(ours.GetIndex(ctx, 2))
	gives(s.checks, "and by its key", second)(ours.Get(ctx, "b"))
	gives(s.checks, "two entries are there", 2)(ours.Len(ctx))
}

// indexedMapOrder leaves entries at 1, 2, 4, 5: c is removed.
func indexedMapOrder(s *session, ours, theirs positions) {
	ctx := s.ctx()
	s.append(ours, "c", "1")
	fourth, fifth := s.append(ours, "d", "1"), s.append(ours, "e", "1")
	third := must[*position](s.checks, "remove")(ours.Remove(ctx, "c"))
	s.equal("a remove answers with the entry", third.Key, "c")
	first := must[*position](s.checks, "get")(theirs.GetIndex(ctx, 1))
	second := must[*position](s.checks, "get")(theirs.GetIndex(ctx, 2))
	gives(s.checks, "the first index", indexedmap.Index(1))(theirs.FirstIndex(ctx))
	gives(s.checks, "the last index", indexedmap.Index(5))(theirs.LastIndex(ctx))
	gives(s.checks, "the first entry", first)(theirs.FirstEntry(ctx))
	gives(s.checks, "the last entry", fifth)(theirs.LastEntry(ctx))
	gives(s.checks, "the index after 0", indexedmap.Index(1))(theirs.NextIndex(ctx, 0))
	gives(s.checks, "the index after 2, over a hole", indexedmap.Index(4))(theirs.NextIndex(ctx, 2))
	gives(s.checks, "the index after a hole", indexedmap.Index(4))(theirs.NextIndex(ctx, 3))
	refuses(s.checks, "there is none after the last", errors.NotFound)(theirs.NextIndex(ctx, 5))
	gives(s.checks, "the index before 4, over a hole", indexedmap.Index(2))(theirs.PrevIndex(ctx, 4))
	gives(s.checks, "the index before a hole", indexedmap.Index(2))(theirs.PrevIndex(ctx, 3))
	gives(s.checks, "the index before one beyond the end", indexedmap.Index(5))(theirs.PrevIndex(ctx, 100))
	refuses(s.checks, "there is none before the first", errors.NotFound)(theirs.PrevIndex(ctx, 1))
	gives(s.checks, "the entry after 2", fourth)(theirs.NextEntry(ctx, 2))
	gives(s.checks, "the entry before 4", second)(theirs.PrevEntry(ctx, 4))
	refuses(s.checks, "there is no entry after the last", errors.NotFound)(theirs.NextEntry(ctx, 5))
	refuses(s.checks, "there is no entry before the first", errors.NotFound)(theirs.PrevEntry(ctx, 1))
	wanted := []string{positionText(first), positionText(second), positionText(fourth), positionText(fifth)}
	s.equal("a list is in order of indexes", s.listedPositions(theirs), wanted)
}

func indexedMapUpdates(s *session, ours, theirs positions) {
	ctx := s.ctx()
	before := must[*position](s.checks, "get")(ours.Get(ctx, "b"))
	after := must[*position](s.checks, "update")(ours.Update(ctx, "b", "2"))
	s.equal("an update keeps the index", after.Index, before.Index)
	s.holds("an update has a later version", after.Version > before.Version, after.Version, "a later one")
	gives(s.checks, "an update is read", after)(theirs.Get(ctx, "b"))
	gives(s.checks, "an update to an equal value changes nothing", after)(theirs.Update(ctx, "b", "2"))
	refuses(s.checks, "an update of an unknown key is refused", errors.NotFound)(ours.Update(ctx, "x", "1"))
	refuses(s.checks, "also one at a version", errors.NotFound)(ours.Update(ctx, "x", "1", indexedmap.IfVersion(1)))
	stale := indexedmap.IfVersion(before.Version)
	refuses(s.checks, "an update at a stale version is refused", errors.Conflict)(ours.Update(ctx, "b", "3", stale))
	refuses(s.checks, "also one to an equal value", errors.Conflict)(ours.Update(ctx, "b", "2", stale))
	gives(s.checks, "a refused update writes nothing", after)(theirs.Get(ctx, "b"))
	last := must[*position](s.checks, "update at the version")(ours.Update(ctx, "b", "3", indexedmap.IfVersion(after.Version)))
	gives(s.checks, "an update at the version is taken", last)(theirs.GetIndex(ctx, last.Index))
}

func indexedMapRemoves(s *session, ours, theirs positions) {
	ctx := s.ctx()
	entry := must[*position](s.checks, "get")(ours.Get(ctx, "b"))
	refuses(s.checks, "a remove of an unknown key is refused", errors.NotFound)(ours.Remove(ctx, "x"))
	refuses(s.checks, "a remove of an unknown index is refused", errors.NotFound)(ours.RemoveIndex(ctx, 3))
	other := indexedmap.IfVersion(entry.Version + 1)
	refuses(s.checks, "a remove at another version is refused", errors.Conflict)(ours.Remove(ctx, "b", other))
	refuses(s.checks, "also one by index", errors.Conflict)(ours.RemoveIndex(ctx, entry.Index, other))
	gives(s.checks, "a refused remove removes nothing", entry)(theirs.Get(ctx, "b"))
	own := indexedmap.IfVersion(entry.Version)
	gives(s.checks, "a remove answers with the entry and its own version", entry)(theirs.RemoveIndex(ctx, entry.Index, own))
	refuses(s.checks, "a removed entry has no key", errors.NotFound)(ours.Get(ctx, "b"))
	refuses(s.checks, "a removed entry has no index", errors.NotFound)(ours.GetIndex(ctx, entry.Index))
	last := must[*position](s.checks, "get")(ours.Get(ctx, "e"))
	gives(s.checks, "a remove by key at the version is taken", last)(ours.Remove(ctx, "e", indexedmap.IfVersion(last.Version)))
	again := s.append(ours, "e", "1")
	s.equal("the last index is not used again", again.Index, last.Index+1)
}

func indexedMapClears(s *session, ours, theirs positions) {
	ctx := s.ctx()
	last := must[*position](s.checks, "get")(ours.LastEntry(ctx))
	s.succeeds("an indexed map is cleared", theirs.Clear(ctx))
	gives(s.checks, "nothing is left then", 0)(ours.Len(ctx))
	refuses(s.checks, "a cleared key is not found", errors.NotFound)(ours.Get(ctx, last.Key))
	refuses(s.checks, "a cleared index is not found", errors.NotFound)(ours.GetIndex(ctx, last.Index))
	s.equal("a list of nothing is empty", s.listedPositions(ours), []string{})
	s.succeeds("an empty indexed map is cleared", ours.Clear(ctx))
	next := s.append(ours, "a", "1")
	s.equal("indexes go on after a clear", next.Index, last.Index+1)
	wanted := []string{positionText(next)}
	for index := 0; index < 300; index++ {
		wanted = append(wanted, positionText(s.append(ours, fmt.Sprint("key-", index), "1")))
	}
	s.equal("a long list is in order of indexes", s.listedPositions(theirs), wanted)
	s.need("clear", ours.Clear(ctx))
}

func indexedMapTTLs(s *session, m positions) {
	ctx := s.ctx()
	begin := time.Now()
	s.append(m, "append", "1", indexedmap.WithTTL(lifetime))
	s.append(m, "update", "1")
	must[*position](s.checks, "update with a time to live")(m.Update(ctx, "update", "2", indexedmap.WithTTL(lifetime)))
	s.append(m, "cleared", "1", indexedmap.WithTTL(lifetime))
	cleared := must[*position](s.checks, "update without one")(m.Update(ctx, "cleared", "2"))
	old := s.append(m, "again", "1", indexedmap.WithTTL(lifetime))
	must[*position](s.checks, "remove by index")(m.RemoveIndex(ctx, old.Index))
	again := s.append(m, "again", "2")
	for _, key := range []string{"append", "update"} {
		s.expires("what has a time to live expires: "+key, begin, func() error {
			_, err := m.Get(s.ctx(), key)
			return err
		})
	}
	gives(s.checks, "a later update without one is for good", cleared)(m.Get(ctx, "cleared"))
	gives(s.checks, "a removed entry's time does not end a later one", again)(m.Get(ctx, "again"))
}

// indexedMapStub checks updates by index, for which the SDK has no method.
func indexedMapStub(s *session, name string) {
	ctx := s.ctx()
	m := s.positions(s.client(), name)
	first := s.append(m, "a", "1")
	stub := indexedmapv1.NewIndexedMapClient(s.stubs(s.client()))
	update := func(key string, index indexedmap.Index) (*indexedmapv1.Entry, error) {
		request := &indexedmapv1.UpdateRequest{ID: id(name), Key: key, Index: uint64(index), Value: []byte("2")}
		response, err := stub.Update(ctx, request)
		return response.GetEntry(), err
	}
	refuses(s.checks, "an index and another key do not fit", errors.Fault)(update("b", first.Index))
	refuses(s.checks, "an update of neither key nor index is refused", errors.Invalid)(update("", 0))
	refuses(s.checks, "an update of an unknown index is refused", errors.NotFound)(update("", 99))
	gives(s.checks, "refused updates write nothing", first)(m.Get(ctx, "a"))
	updated, err := update("", first.Index)
	s.need("update by index", err)
	s.equal("an update by index answers with the key", updated.GetKey(), "a")
	after := must[*position](s.checks, "get")(m.GetIndex(ctx, first.Index))
	s.equal("an update by index is taken", after.Value, "2")
	s.equal("and answers with its version", updated.GetValue().GetVersion(), uint64(after.Version))
	_, err = update("a", first.Index)
	s.succeeds("an index and its own key fit", err)
}

// listedPositions is what an indexed map lists, as it comes.
func (s *session) listedPositions(m positions) []string {
	stream, err := m.List(s.ctx())
	entries, err := all[*position](stream, err)
	s.need("list", err)
	found := []string{}
	for _, entry := range entries {
		found = append(found, positionText(entry))
	}
	return found
}
