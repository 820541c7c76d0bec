package admin

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"cowrelay/fasthttp/accept"
)

// Wrong tokens are answered slowly, and no more than a few wait for that; the
// right one is answered at once meanwhile, and a body is not waited for.
func TestAdmin_Guesses(t *testing.T) {
	g := newRig(t)
	s, addr := g.serve(Options{Token: adminToken})
	ask := func(token string) (int, http.Header) {
		req, _ := http.NewRequest("GET", "http://"+addr+"/admin/v1/status", nil)
		req.Header.Set("Authorization", "Bearer "+token)
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Error(err)
			return 0, nil
		}
		res.Body.Close()
		return res.StatusCode, res.Header
	}
	withheld := dial(t, addr)
	withheld.send("POST /admin/v1/drain HTTP/1.1\nHost: x\nAuthorization: Bearer wrong\nContent-Length: 1000\n\n")
	withheld.SetDeadline(time.Now().Add(8 * time.Second)) // less than a body may take
	if res, err := http.ReadResponse(withheld.br, nil); err != nil || res.StatusCode != 401 {
		t.Errorf("a withheld body: %v, %v", res, err)
	}
	var wg sync.WaitGroup
	var mu sync.Mutex
	seen := map[int]int{}
	for i := range 40 {
		wg.Go(func() {
			status, header := ask(fmt.Sprintf("guess-%d", i))
			mu.Lock()
			defer mu.Unlock()
			seen[status]++
			if status == 429 && header.Get("Retry-After") == "" {
				t.Error("no Retry-After")
			}
		})
	}
	for range 20 {
		if status, _ := ask(adminToken); status != 200 {
			t.Errorf("the right token: status %d", status)
		}
	}
	wg.Wait()
	if seen[401]+seen[429] != 40 || seen[429] < 5 {
		t.Errorf("statuses %v", seen)
	}
	if n := s.guesses.wrong.Load(); n != 41 {
		t.Errorf("%d wrong tokens counted", n)
	}
	// Without one nobody guesses.
	for range 30 {
		if status, _ := ask(""); status != 401 {
			t.Errorf("no token: status %d", status)
		}
	}
}

func TestGuesses_Limits(t *testing.T) {
	for _, c := range []struct{ clients, atOnce, later, refused int }{{1, 5, guessWaiters, 87}, {100, 20, guessWaiters, 72}} {
		synctest.Test(t, func(t *testing.T) {
			g := newGuesses()
			began := time.Now()
			var mu sync.Mutex
			atOnce, later, refused := 0, 0, 0
			var wg sync.WaitGroup
			for i := range 100 {
				wg.Go(func() {
					f := g.refuse(t.Context(), accept.Client(i%c.clients))
					mu.Lock()
					defer mu.Unlock()
					switch took := time.Since(began); {
					case f == errGuesses && took == 0:
						refused++
					case f == errToken && took == 0:
						atOnce++
					case f == errToken && took == guessDelay:
						later++
					default:
						t.Errorf("%v after %v", f, took)
					}
				})
			}
			wg.Wait()
			if atOnce != c.atOnce || later != c.later || refused != c.refused {
				t.Errorf("%d clients: %d answered at once, %d later, %d refused", c.clients, atOnce, later, refused)
			}
			// Nobody waits for a client that left.
			for range 50 {
				g.clients.Allow(0, 0)
			}
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			for range 10 {
				g.refuse(ctx, 0)
			}
			if took := time.Since(began); took != guessDelay {
				t.Errorf("it took %v", took)
			}
		})
	}
}
