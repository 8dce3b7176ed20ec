package store

// MaxClients is how many buckets' clients a Pool keeps.
const MaxClients = maxClients

// Clients is how many it has.
func (p *Pool) Clients() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.clients)
}
