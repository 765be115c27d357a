// A story told with Go's clientv3: mutexes exclude, elections pass on, STM moves money without losing any,
// and a service that stops renewing vanishes. Exits with status 1 and a sentence where that is not so.
package main

import (
	"context"
	"fmt"
	"log"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/concurrency"
)

func must(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

func connect(endpoints ...string) *clientv3.Client {
	client, err := clientv3.New(clientv3.Config{Endpoints: endpoints, DialTimeout: 5 * time.Second})
	must(err)
	return client
}

func main() {
	endpoints := strings.Split(os.Getenv("ENDPOINTS"), ",")
	mutexes(endpoints)
	arrival(endpoints)
	elections(endpoints)
	transfers(endpoints)
	watches(endpoints)
	service(endpoints)
}

func mutexes(endpoints []string) {
	var holders, rounds atomic.Int32
	var all sync.WaitGroup
	for worker := range 6 {
		all.Add(1)
		go func() {
			defer all.Done()
			client := connect(endpoints[worker%len(endpoints)])
			defer client.Close()
			session, err := concurrency.NewSession(client, concurrency.WithTTL(20))
			must(err)
			defer session.Close()
			mutex := concurrency.NewMutex(session, "/mutex")
			for range 10 {
				must(mutex.Lock(context.Background()))
				if holders.Add(1) != 1 {
					log.Fatal("two hold the mutex")
				}
				rounds.Add(1)
				holders.Add(-1)
				must(mutex.Unlock(context.Background()))
			}
		}()
	}
	all.Wait()
	if rounds.Load() != 60 {
		log.Fatalf("%d rounds instead of 60", rounds.Load())
	}
}

func arrival(endpoints []string) {
	client := connect(endpoints...)
	defer client.Close()
	session, err := concurrency.NewSession(client)
	must(err)
	first := concurrency.NewMutex(session, "/queue")
	must(first.Lock(context.Background()))
	served := make(chan int, 5)
	var all sync.WaitGroup
	defer all.Wait()
	for waiter := range 5 {
		session, err := concurrency.NewSession(client)
		must(err)
		mutex := concurrency.NewMutex(session, "/queue")
		all.Add(1)
		go func() {
			defer all.Done()
			must(mutex.Lock(context.Background()))
			served <- waiter
			must(mutex.Unlock(context.Background()))
		}()
		// The next one comes when this one stands in the queue.
		for {
			answer, err := client.Get(context.Background(), "/queue/", clientv3.WithPrefix(), clientv3.WithCountOnly())
			must(err)
			if answer.Count == int64(waiter+2) {
				break
			}
		}
	}
	must(first.Unlock(context.Background()))
	for want := range 5 {
		if got := <-served; got != want {
			log.Fatalf("waiter %d was served before waiter %d", got, want)
		}
	}
}

func elections(endpoints []string) {
	client := connect(endpoints...)
	defer client.Close()
	one, err := concurrency.NewSession(client)
	must(err)
	two, err := concurrency.NewSession(client)
	must(err)
	first := concurrency.NewElection(one, "/election")
	second := concurrency.NewElection(two, "/election")
	must(first.Campaign(context.Background(), "one"))
	won := make(chan struct{})
	go func() {
		must(second.Campaign(context.Background(), "two"))
		close(won)
	}()
	leader, err := first.Leader(context.Background())
	must(err)
	if string(leader.Kvs[0].Value) != "one" {
		log.Fatalf("%s leads instead of one", leader.Kvs[0].Value)
	}
	must(first.Resign(context.Background()))
	<-won
	leader, err = first.Leader(context.Background())
	must(err)
	if string(leader.Kvs[0].Value) != "two" {
		log.Fatalf("%s leads instead of two", leader.Kvs[0].Value)
	}
}

func transfers(endpoints []string) {
	// STM reads serializably at the revision of its first read: another member may not have that revision yet.
	client := connect(endpoints[0])
	defer client.Close()
	const accounts, each = 5, 100
	for account := range accounts {
		_, err := client.Put(context.Background(), fmt.Sprintf("/account/%d", account), strconv.Itoa(each))
		must(err)
	}
	var all sync.WaitGroup
	for worker := range 4 {
		all.Add(1)
		go func() {
			defer all.Done()
			for round := range 25 {
				from := fmt.Sprintf("/account/%d", (worker+round)%accounts)
				to := fmt.Sprintf("/account/%d", (worker+round*3+1)%accounts)
				_, err := concurrency.NewSTM(client, func(stm concurrency.STM) error {
					if from == to {
						return nil
					}
					a, _ := strconv.Atoi(stm.Get(from))
					b, _ := strconv.Atoi(stm.Get(to))
					stm.Put(from, strconv.Itoa(a-1))
					stm.Put(to, strconv.Itoa(b+1))
					return nil
				})
				must(err)
			}
		}()
	}
	all.Wait()
	answer, err := client.Get(context.Background(), "/account/", clientv3.WithPrefix())
	must(err)
	sum := 0
	for _, kv := range answer.Kvs {
		value, _ := strconv.Atoi(string(kv.Value))
		sum += value
	}
	if sum != accounts*each {
		log.Fatalf("%d of %d coins are left", sum, accounts*each)
	}
}

func watches(endpoints []string) {
	client := connect(endpoints...)
	defer client.Close()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	created, err := client.Put(ctx, "/w/0", "0")
	must(err)
	events := client.Watch(ctx, "/w/", clientv3.WithPrefix(), clientv3.WithRev(created.Header.Revision), clientv3.WithPrevKV())
	for n := 1; n < 100; n++ {
		_, err := client.Put(ctx, "/w/0", strconv.Itoa(n))
		must(err)
	}
	next := 0
	for answer := range events {
		must(answer.Err())
		for _, event := range answer.Events {
			if string(event.Kv.Value) != strconv.Itoa(next) {
				log.Fatalf("event %s instead of %d", event.Kv.Value, next)
			}
			if next > 0 && string(event.PrevKv.Value) != strconv.Itoa(next-1) {
				log.Fatalf("event %d came with the previous value %s", next, event.PrevKv.Value)
			}
			next++
		}
		if next == 100 {
			return
		}
	}
}

func service(endpoints []string) {
	client := connect(endpoints...)
	defer client.Close()
	session, err := concurrency.NewSession(client, concurrency.WithTTL(2))
	must(err)
	_, err = client.Put(context.Background(), "/service/1", "here", clientv3.WithLease(session.Lease()))
	must(err)
	time.Sleep(4 * time.Second)
	answer, err := client.Get(context.Background(), "/service/1")
	must(err)
	if answer.Count != 1 {
		log.Fatal("the service vanished while it lived")
	}
	session.Orphan()
	for range 100 {
		answer, err = client.Get(context.Background(), "/service/1")
		must(err)
		if answer.Count == 0 {
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
	log.Fatal("the service is still there ten seconds after it died")
}
