package main

import (
	"fmt"
	"math"

	runtimev1 "github.com/atomix/atomix/api/runtime/v1"
	"github.com/atomix/go-sdk/pkg/client"
	"github.com/atomix/go-sdk/pkg/types"
	"github.com/atomix/go-sdk/pkg/types/scalar"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

type record struct {
	Name  string   `json:"name" yaml:"name"`
	Count int      `json:"count" yaml:"count"`
	Tags  []string `json:"tags" yaml:"tags"`
}

type label string
type number int32

func codecs(s *session) {
	whole := record{Name: "a", Count: -1, Tags: []string{"x", "ключ"}}
	codec(s, "json", types.JSON[record](), whole)
	codec(s, "json-pointer", types.JSON[*record](), &whole)
	codec(s, "yaml", types.YAML[record](), whole)
	codec(s, "gogoproto", types.GoGoProto[*runtimev1.PrimitiveID](&runtimev1.PrimitiveID{}), &runtimev1.PrimitiveID{Name: "a"})
	// Messages of this kind carry state of their own: only their content can be compared.
	proto := types.Proto[*wrapperspb.StringValue](&wrapperspb.StringValue{})
	value, err := client.Value[*wrapperspb.StringValue](s.client())(s.name("proto")).Codec(proto).Get(s.ctx())
	s.need("create a value of protobuf messages", err)
	_, err = value.Set(s.ctx(), wrapperspb.String("a"))
	s.need("set", err)
	message, err := value.Get(s.ctx())
	gives(s.checks, "a value of protobuf messages is read", "a")(message.Value.GetValue(), err)

	scalars(s, "", "a", "a\x00b", "ключ")
	scalars[label](s, "a", "b")
	scalars[number](s, math.MinInt32, math.MaxInt32)
	scalars[int](s, math.MinInt64, 0, math.MaxInt64)
	scalars[int8](s, math.MinInt8, math.MaxInt8)
	scalars[int16](s, math.MinInt16, math.MaxInt16)
	scalars[int32](s, math.MinInt32, math.MaxInt32)
	scalars[int64](s, math.MinInt64, math.MaxInt64)
	scalars[uint](s, 0, math.MaxInt64)
	scalars[uint8](s, 0, math.MaxUint8)
	scalars[uint16](s, 0, math.MaxUint16)
	scalars[uint32](s, 0, math.MaxUint32)
	// The SDK sends the greatest one as -1, and reads that back.
	scalars[uint64](s, 0, math.MaxInt64, math.MaxUint64)
}

// codec takes an element through every primitive that holds some.
func codec[E any](s *session, kind string, codec types.Codec[E], element E) {
	ctx, connection := s.ctx(), s.client()
	sentence := fmt.Sprintf("%s of %T ", kind, element)
	value, err := client.Value[E](connection)(s.name(kind + "-value")).Codec(codec).Get(ctx)
	s.need("create a value", err)
	_, err = value.Set(ctx, element)
	s.need("set", err)
	got, err := value.Get(ctx)
	gives(s.checks, sentence+"is read from a value", element)(got.Value, err)

	list, err := client.List[E](connection)(s.name(kind + "-list")).Codec(codec).Get(ctx)
	s.need("create a list", err)
	s.need("append", list.Append(ctx, element))
	gives(s.checks, sentence+"is read from a list", element)(list.Get(ctx, 0))

	set, err := client.Set[E](connection)(s.name(kind + "-set")).Codec(codec).Get(ctx)
	s.need("create a set", err)
	gives(s.checks, sentence+"is added to a set", true)(set.Add(ctx, element))
	gives(s.checks, sentence+"is contained in it", true)(set.Contains(ctx, element))
	stream, err := set.Elements(ctx)
	gives(s.checks, sentence+"is listed by it", []E{element})(all[E](stream, err))

	keyed(s, kind, codec, []string{"a"}, element)
}

// keyed takes keys and an element through the primitives that have keys.
func keyed[K scalar.Scalar, E any](s *session, kind string, codec types.Codec[E], keys []K, element E) {
	ctx, connection := s.ctx(), s.client()
	m, err := client.Map[K, E](connection)(s.name(kind + "-map")).Codec(codec).Get(ctx)
	s.need("create a map", err)
	indexed, err := client.IndexedMap[K, E](connection)(s.name(kind + "-indexedmap")).Codec(codec).Get(ctx)
	s.need("create an indexed map", err)
	for _, key := range keys {
		sentence := fmt.Sprintf("%T %.10q by %T %v ", element, kind, key, key)
		put, err := m.Put(ctx, key, element)
		s.need("put", err)
		gives(s.checks, sentence+"is read from a map", put)(m.Get(ctx, key))
		appended, err := indexed.Append(ctx, key, element)
		s.need("append", err)
		// Without a key and without an index nothing is named.
		if fmt.Sprint(key) != "" {
			gives(s.checks, sentence+"is read from an indexed map", appended)(indexed.Get(ctx, key))
		}
		gives(s.checks, sentence+"is read from its index", appended)(indexed.GetIndex(ctx, appended.Index))
	}
	found := map[K]bool{}
	stream, err := m.List(ctx)
	s.need("list", err)
	for range keys {
		entry, err := stream.Next()
		s.need("receive an entry", err)
		found[entry.Key] = true
	}
	s.equal(fmt.Sprintf("all keys of %T are listed", keys), len(found), len(keys))
}

// scalars takes scalars through the primitives, as keys and as values.
func scalars[T scalar.Scalar](s *session, values ...T) {
	kind := fmt.Sprintf("%T", values[0])
	last := values[len(values)-1]
	keyed(s, kind, types.Scalar[T](), values, last)
	value, err := client.Value[T](s.client())(s.name(kind + "-value")).Codec(types.Scalar[T]()).Get(s.ctx())
	s.need("create a value", err)
	for _, want := range values {
		_, err := value.Set(s.ctx(), want)
		s.need("set", err)
		got, err := value.Get(s.ctx())
		gives(s.checks, fmt.Sprintf("%T %v is read from a value", want, want), want)(got.Value, err)
	}
}
