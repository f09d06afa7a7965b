// The same reduce UDF on Numaflow's Go SDK: a goroutine for each event, net/http, at most MAX_WORKERS calls at once.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/numaproj/numaflow-go/pkg/reducer"
)

type event struct {
	Generator uint64 `json:"generator"`
	Index     uint64 `json:"index"`
}

type result struct {
	Events int64 `json:"events"`
	Ok     int64 `json:"ok"`
}

type caller struct {
	client *http.Client
	url    string
	slots  chan struct{}
}

func newCaller() (*caller, error) {
	workers, err := strconv.Atoi(setting("MAX_WORKERS", "1000"))
	if err != nil || workers < 1 {
		return nil, fmt.Errorf("MAX_WORKERS: expected a whole number from 1 on")
	}
	query := url.Values{"delay": {setting("IO_DELAY", "0")}}
	transport := &http.Transport{MaxIdleConns: workers, MaxIdleConnsPerHost: workers, DisableCompression: true}
	return &caller{
		client: &http.Client{Transport: transport, Timeout: 30 * time.Second},
		url:    setting("ENDPOINT_URL", "http://127.0.0.1:9888") + "/ping?" + query.Encode(),
		slots:  make(chan struct{}, workers),
	}, nil
}

func (c *caller) call(ctx context.Context, payload []byte) bool {
	var event event
	if json.Unmarshal(payload, &event) != nil {
		return false
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, c.url, nil)
	if err != nil {
		return false
	}
	request.Header.Set("Idempotency-Key", fmt.Sprintf("%d-%d", event.Generator, event.Index))
	answer, err := c.client.Do(request)
	if err != nil {
		return false
	}
	defer answer.Body.Close()
	_, err = io.Copy(io.Discard, answer.Body)
	return err == nil && answer.StatusCode == http.StatusOK
}

func (c *caller) reduce(ctx context.Context, keys []string, events <-chan reducer.Datum, _ reducer.Metadata) reducer.Messages {
	var calls sync.WaitGroup
	var ok atomic.Int64
	var result result
	for datum := range events {
		result.Events++
		c.slots <- struct{}{}
		calls.Add(1)
		go func(payload []byte) {
			defer calls.Done()
			if c.call(ctx, payload) {
				ok.Add(1)
			}
			<-c.slots
		}(datum.Value())
	}
	calls.Wait()
	result.Ok = ok.Load()
	value, _ := json.Marshal(result) // Two numbers cannot fail.
	return reducer.MessagesBuilder().Append(reducer.NewMessage(value).WithKeys(keys))
}

func setting(name, otherwise string) string {
	if value := os.Getenv(name); value != "" {
		return value
	}
	return otherwise
}

func main() {
	caller, err := newCaller()
	if err != nil {
		log.Fatal(err)
	}
	server := reducer.NewServer(
		reducer.SimpleCreatorWithReduceFn(caller.reduce),
		reducer.WithSockAddr(os.Getenv("SOCKET")),
		reducer.WithServerInfoFilePath(os.Getenv("SERVER_INFO")),
	)
	if err := server.Start(context.Background()); err != nil {
		log.Fatal(err)
	}
}
