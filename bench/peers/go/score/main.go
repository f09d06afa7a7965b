// The program of examples/score on Numaflow's Go SDK: a goroutine for each event, net/http and encoding/json, at most
// MAX_WORKERS calls at once.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"strconv"
	"sync"
	"time"

	"github.com/numaproj/numaflow-go/pkg/reducer"
)

type payment struct {
	User   string  `json:"user"`
	Amount float64 `json:"amount"`
}

type scored struct {
	Score float64 `json:"score"`
}

type mean struct {
	Mean   float64 `json:"mean"`
	Scored int64   `json:"scored"`
	Failed int64   `json:"failed"`
}

type scorer struct {
	client *http.Client
	url    string
	token  string
	slots  chan struct{}
}

func newScorer() (*scorer, error) {
	workers, err := strconv.Atoi(os.Getenv("MAX_WORKERS"))
	if err != nil || workers < 1 {
		return nil, fmt.Errorf("MAX_WORKERS: expected a whole number from 1 on")
	}
	transport := &http.Transport{MaxIdleConns: workers, MaxIdleConnsPerHost: workers, DisableCompression: true}
	return &scorer{
		client: &http.Client{Transport: transport, Timeout: 30 * time.Second},
		url:    os.Getenv("SCORE_URL"),
		token:  "Bearer " + os.Getenv("SCORE_TOKEN"),
		slots:  make(chan struct{}, workers),
	}, nil
}

func (s *scorer) score(ctx context.Context, payload []byte) (float64, error) {
	var payment payment
	if err := json.Unmarshal(payload, &payment); err != nil {
		return 0, err
	}
	body, err := json.Marshal(payment)
	if err != nil {
		return 0, err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, s.url, bytes.NewReader(body))
	if err != nil {
		return 0, err
	}
	request.Header.Set("Authorization", s.token)
	request.Header.Set("Content-Type", "application/json")
	answer, err := s.client.Do(request)
	if err != nil {
		return 0, err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return 0, fmt.Errorf("status %d", answer.StatusCode)
	}
	content, err := io.ReadAll(answer.Body)
	if err != nil {
		return 0, err
	}
	var scored scored
	err = json.Unmarshal(content, &scored)
	return scored.Score, err
}

func (s *scorer) reduce(ctx context.Context, keys []string, events <-chan reducer.Datum, _ reducer.Metadata) reducer.Messages {
	var calls sync.WaitGroup
	var lock sync.Mutex
	var mean mean
	for datum := range events {
		s.slots <- struct{}{}
		calls.Add(1)
		go func(payload []byte) {
			defer calls.Done()
			score, err := s.score(ctx, payload)
			<-s.slots
			lock.Lock()
			defer lock.Unlock()
			if err != nil {
				mean.Failed++
				return
			}
			mean.Scored++
			mean.Mean += (score - mean.Mean) / float64(mean.Scored)
		}(datum.Value())
	}
	calls.Wait()
	value, _ := json.Marshal(mean) // Three finite numbers cannot fail.
	return reducer.MessagesBuilder().Append(reducer.NewMessage(value).WithKeys(keys))
}

func main() {
	scorer, err := newScorer()
	if err != nil {
		log.Fatal(err)
	}
	server := reducer.NewServer(
		reducer.SimpleCreatorWithReduceFn(scorer.reduce),
		reducer.WithSockAddr(os.Getenv("SOCKET")),
		reducer.WithServerInfoFilePath(os.Getenv("SERVER_INFO")),
	)
	if err := server.Start(context.Background()); err != nil {
		log.Fatal(err)
	}
}
