// The services of ../README.md with the unmodified Cloudstate SDK for Go: `HOST=... PORT=... functions`.
package main

import (
	"fmt"
	"log"
	"os"
	"strconv"
	"time"

	"github.com/cloudstateio/go-support/cloudstate"
	"github.com/cloudstateio/go-support/cloudstate/action"
	"github.com/cloudstateio/go-support/cloudstate/eventsourced"
	"github.com/cloudstateio/go-support/cloudstate/protocol"
	"github.com/cloudstateio/go-support/cloudstate/value"
)

func main() {
	if err := run(); err != nil {
		log.Fatal(err)
	}
}

func run() error {
	functions, err := cloudstate.New(protocol.Config{ServiceName: "functions", ServiceVersion: "0.0.0"})
	if err != nil {
		return err
	}
	if err := registerCarts(functions); err != nil {
		return err
	}
	if err := registerActions(functions); err != nil {
		return err
	}
	return functions.Run()
}

func registerCarts(functions *cloudstate.CloudState) error {
	idle, err := idle()
	if err != nil {
		return err
	}
	var cartOptions []eventsourced.Option
	var valueCartOptions []value.Option
	if idle > 0 {
		cartOptions = append(cartOptions, eventsourced.WithPassivationStrategyTimeout(idle))
		valueCartOptions = append(valueCartOptions, value.WithPassivationStrategyTimeout(idle))
	}
	err = functions.RegisterEventSourced(&eventsourced.Entity{
		ServiceName:   cartService,
		PersistenceID: "shopping-cart",
		SnapshotEvery: 5,
		EntityFunc:    newCart,
	}, files("shoppingcart.proto", "domain.proto"), cartOptions...)
	if err != nil {
		return err
	}
	return functions.RegisterValueEntity(&value.Entity{
		ServiceName:   "com.example.valueentity.shoppingcart.ShoppingCart",
		PersistenceID: "value-shopping-cart",
		EntityFunc:    newValueCart,
	}, files("value_shoppingcart.proto", "value_domain.proto"), valueCartOptions...)
}

func registerActions(functions *cloudstate.CloudState) error {
	err := functions.RegisterAction(&action.Entity{
		ServiceName: "com.example.numbers.Numbers",
		EntityFunc:  newNumbers,
	}, files("numbers.proto"))
	if err != nil {
		return err
	}
	return functions.RegisterAction(&action.Entity{
		ServiceName: "com.example.cartactions.CartActions",
		EntityFunc:  newCartActions,
	}, files("cart_actions.proto"))
}

func files(service string, domain ...string) protocol.DescriptorConfig {
	return protocol.DescriptorConfig{Service: service}.AddDomainDescriptor(domain...)
}

// idle is how long carts may be idle before they are passivated; 0 leaves that to the proxy.
func idle() (time.Duration, error) {
	text, ok := os.LookupEnv("PASSIVATION_MS")
	if !ok {
		return 0, nil
	}
	ms, err := strconv.ParseUint(text, 10, 31)
	if err != nil {
		return 0, fmt.Errorf("PASSIVATION_MS: %w", err)
	}
	return time.Duration(ms) * time.Millisecond, nil
}
