package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ci-callback/ci-callback/internal/testprogram"
	"github.com/ci-callback/ci-callback/pkg/coslocal"
)

// BenchmarkCallback is the handler alone, against a COS on loopback: a first delivery of
// the main job each time.
func BenchmarkCallback(b *testing.B) {
	for _, bench := range []struct{ name, tag string }{{"plain", "TAG_MD5=false"}, {"tagged", "TAG_MD5=true"}} {
		b.Run(bench.name, func(b *testing.B) {
			s := newSite(b, -1)
			r := s.newReceiver(b, nil)
			environment := s.with(bench.tag)
			body := string(sample(b, "digitalwatermark.xml"))
			b.ReportAllocs()
			n := 0
			for b.Loop() {
				payload := s.nextJob(b, body, n)
				n++
				ctx, cancel := invoked(environment, timeLimit)
				returned, err := r.Invoke(ctx, payload)
				cancel()
				if a := read(b, returned, err); a.status != 200 || a.outcome() != "created" {
					b.Fatalf("%d %s", a.status, a.body)
				}
			}
			b.ReportMetric(float64(s.RequestCount())/float64(n), "COS-requests/op")
		})
	}
}

// nextJob makes the event of the sample job under another id, with an output of its own.
func (s *site) nextJob(t testing.TB, body string, n int) []byte {
	id, key := fmt.Sprintf("j%d", n), fmt.Sprintf("output/%d.mp4", n)
	s.putOutput(t, key)
	return event(t, []string{token}, []byte(strings.NewReplacer(sampleJob, id, sampleFile, key).Replace(body)))
}

// BenchmarkColdStart is the time from exec to the first answer over RPC, of the function
// and of the plain handler, in turns. The medians tell.
func BenchmarkColdStart(b *testing.B) {
	for _, bench := range []struct{ name, tag string }{{"plain", "TAG_MD5=false"}, {"tagged", "TAG_MD5=true"}} {
		b.Run(bench.name, func(b *testing.B) {
			s := newSite(b, -1)
			body := string(sample(b, "digitalwatermark.xml"))
			var ours, plain []time.Duration
			for b.Loop() {
				ours = append(ours, s.coldStart(b, buildFunction, bench.tag, s.nextJob(b, body, 2*len(ours))))
				plain = append(plain, s.coldStart(b, buildPlain, bench.tag, s.nextJob(b, body, 2*len(plain)+1)))
			}
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(median(ours).Seconds()*1000, "ms/function")
			b.ReportMetric(median(plain).Seconds()*1000, "ms/plain-handler")
			b.ReportMetric(float64(median(ours))/float64(median(plain)), "ratio")
		})
	}
}

func median(d []time.Duration) time.Duration {
	d = slices.Sorted(slices.Values(d))
	return d[len(d)/2]
}

func (s *site) coldStart(b *testing.B, build func() (string, error), tag string, payload []byte) time.Duration {
	testprogram.Path(b, build)
	started := time.Now()
	p := start(b, build)
	returned, err := p.Invoke(context.Background(), s.settings(tag), payload)
	took := time.Since(started)
	if a := read(b, returned, err); a.status != 200 {
		b.Fatalf("%d %s", a.status, a.body)
	}
	if err := p.Stop(); err != nil {
		b.Fatal(err)
	}
	return took
}

// BenchmarkInstance is the time that one instance, the built function, takes for a callback,
// one after the other, and its CPU time: beside a COS on loopback, and one that takes 10 ms
// for each request.
func BenchmarkInstance(b *testing.B) {
	for _, bench := range []struct {
		name, tag string
		again     bool // the same callback each time
	}{{"new", "TAG_MD5=false", false}, {"duplicate", "TAG_MD5=false", true}, {"new_tagged", "TAG_MD5=true", false}} {
		for _, trip := range []time.Duration{0, 10 * time.Millisecond} {
			b.Run(fmt.Sprintf("%s/%s", bench.name, trip), func(b *testing.B) {
				s := newSite(b, -1)
				s.Inject(coslocal.Fault{Delay: trip})
				body := string(sample(b, "digitalwatermark.xml"))
				p := start(b, buildFunction)
				var took []time.Duration
				invoke := func(serial int) {
					payload := s.nextJob(b, body, serial)
					started := time.Now()
					returned, err := p.Invoke(context.Background(), s.settings(bench.tag), payload)
					took = append(took, time.Since(started))
					if a := read(b, returned, err); a.status != 200 || a.outcome() == "duplicate" != (bench.again && len(took) > 1) {
						b.Fatalf("%d %s", a.status, a.body)
					}
				}
				invoke(0) // to get going
				n, cpu, requests := 0, p.cpu(), s.RequestCount()
				for b.Loop() {
					if n++; bench.again {
						invoke(0)
					} else {
						invoke(n)
					}
				}
				cpu, requests = p.cpu()-cpu, s.RequestCount()-requests
				took = slices.Sorted(slices.Values(took[1:]))
				b.ReportMetric(0, "ns/op")
				b.ReportMetric(took[n/2].Seconds()*1000, "ms-p50")
				b.ReportMetric(took[n*99/100].Seconds()*1000, "ms-p99")
				b.ReportMetric(cpu.Seconds()*1000/float64(n), "ms-CPU/op")
				b.ReportMetric(float64(requests)/float64(n), "COS-requests/op")
			})
		}
	}
}

// BenchmarkCPU is what a callback costs in CPU time, of the function's process, with tags
// and without, and of the plain handler's, which always writes its tag, in turns.
func BenchmarkCPU(b *testing.B) {
	const turn = 250
	for _, bench := range []struct{ name, file, tag string }{
		{"plain", "digitalwatermark.xml", "TAG_MD5=false"},
		{"tagged", "digitalwatermark.xml", "TAG_MD5=true"},
		{"tagged_json", "digitalwatermark.json", "TAG_MD5=true"},
	} {
		b.Run(bench.name, func(b *testing.B) {
			s := newSite(b, -1)
			body := string(sample(b, bench.file))
			ours, plain := start(b, buildFunction), start(b, buildPlain)
			var oursTook, plainTook time.Duration
			serial := 0
			take := func(p *process, tag string) time.Duration {
				before := p.cpu()
				for range turn {
					returned, err := p.Invoke(context.Background(), s.settings(tag), s.nextJob(b, body, serial))
					if a := read(b, returned, err); a.status != 200 {
						b.Fatalf("%d %s", a.status, a.body)
					}
					serial++
				}
				return p.cpu() - before
			}
			const plainTag = "TAG_MD5=true"
			take(ours, bench.tag) // to get going
			take(plain, plainTag)
			n := 0
			for b.Loop() {
				oursTook += take(ours, bench.tag)
				plainTook += take(plain, plainTag)
				n += turn
			}
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(float64(oursTook.Microseconds())/float64(n), "µs/function")
			b.ReportMetric(float64(plainTook.Microseconds())/float64(n), "µs/plain-handler")
			b.ReportMetric(float64(oursTook)/float64(plainTook), "ratio")
		})
	}
}
