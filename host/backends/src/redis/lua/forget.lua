-- `Backend::forget_calls`: root, hashes -> of how many calls something was removed.

local root, forgotten = ARGV[2], 0
for n = 3, #ARGV do
  local key = record(ARGV[n])
  local latest = call('HGET', key, 'latest')
  reading = 'a latest-job record'
  local place = latest and entry(latest, 'root')
  if call('HEXISTS', key, 'pending_returns') == 0 and (not place or text(latest, place) == root) then
    call('HDEL', key, 'value', 'call', 'latest')
    forgotten = forgotten + 1
  end
end
return forgotten
