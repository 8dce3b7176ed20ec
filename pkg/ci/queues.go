package ci

import (
	"context"
	"encoding/xml"
	"net/url"
	"strconv"
)

// A QueuePath is where the queues of one kind of jobs are asked for.
type QueuePath string

// QueuePaths returns the paths of all queues that a bucket can have, of media, pictures, AI,
// documents and speech. The pages are 搜索媒体处理队列 and 查询队列 of CI's API documentation.
func QueuePaths() []QueuePath {
	return []QueuePath{"/queue", "/picqueue", "/ai_queue", "/docqueue", "/asrqueue"}
}

// A Queue is a queue of jobs, and where its jobs are called back.
type Queue struct {
	QueueID      string `xml:"QueueId"`
	Name         string
	State        string // Active or Paused
	Category     string // such as Transcoding
	NotifyConfig NotifyConfig
}

// A NotifyConfig says where the jobs of a queue are called back. The URL holds the
// callback's token: it is not to be logged or shown.
type NotifyConfig struct {
	State        string // On or Off
	URL          string `xml:"Url"`
	Event        string // TaskFinish, WorkflowFinish, with a comma
	Type         string // Url, or a message queue
	ResultFormat string // XML or JSON
}

const (
	queuesAPage   = 100
	maxQueuePages = 100
)

// Queues returns the bucket's queues of one kind, from all pages.
func (b *Bucket) Queues(ctx context.Context, path QueuePath) ([]Queue, error) {
	var queues []Queue
	for page := 1; page <= maxQueuePages; page++ {
		q := question{"DescribeMediaQueues", string(path), url.Values{
			"category": {"CateAll"}, "pageNumber": {strconv.Itoa(page)}, "pageSize": {strconv.Itoa(queuesAPage)},
		}}
		a, err := b.ask(ctx, q)
		if err != nil {
			return nil, err
		}
		found := a.named("QueueList")
		for _, raw := range found {
			var queue Queue
			if xml.Unmarshal(raw, &queue) == nil && queue.QueueID != "" {
				queues = append(queues, queue)
			}
		}
		total, err := strconv.Atoi(a.text("TotalCount")) // not on every path
		a.Close()
		if err == nil && len(queues) >= total || err != nil && len(found) < queuesAPage || len(found) == 0 {
			break
		}
	}
	return queues, nil
}
