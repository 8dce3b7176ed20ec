package store_test

import (
	"context"
	"fmt"
	"log"

	"github.com/ci-callback/ci-callback/pkg/cosclient"
	"github.com/ci-callback/ci-callback/pkg/coslocal"
	"github.com/ci-callback/ci-callback/pkg/model"
	"github.com/ci-callback/ci-callback/pkg/store"
)

// A record goes through two versions, the older of which comes again. Here COS is a local
// one, which needs no socket.
func ExampleStore_PutRecord() {
	ctx := context.Background()
	cos, err := coslocal.New(coslocal.Options{})
	if err != nil {
		log.Fatal(err)
	}
	if err := cos.CreateBucket("records-1250000000", "ap-guangzhou"); err != nil {
		log.Fatal(err)
	}
	key := coslocal.DefaultCredential()
	s, err := store.NewPool(cos).Open(store.Options{
		Credentials: cosclient.Credentials{SecretID: key.SecretID, SecretKey: key.SecretKey},
		Bucket:      "records-1250000000", Region: "ap-guangzhou", Prefix: "ci/",
	})
	if err != nil {
		log.Fatal(err)
	}

	running := &model.Record{Version: model.Version, Kind: model.KindJob, ID: "j1", State: "Running", Detail: []byte("{}")}
	success := &model.Record{Version: model.Version, Kind: model.KindJob, ID: "j1", State: "Success", Detail: []byte("{}")}
	for _, r := range []*model.Record{running, success, running} {
		outcome, key, err := s.PutRecord(ctx, r)
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(r.State, outcome, key)
	}

	_, stored, err := s.GetRecord(ctx, model.KindJob, "j1")
	if err != nil {
		log.Fatal(err)
	}
	history, err := s.List(ctx, model.HistoryPrefix("ci/", model.KindJob, "j1"), "")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("the record is", stored.State, "and its history has", len(history.Entries), "versions")
	// Output:
	// Running created ci/jobs/j1.json
	// Success updated ci/jobs/j1.json
	// Running stale ci/jobs/j1.json
	// the record is Success and its history has 2 versions
}
