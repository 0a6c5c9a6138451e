-- `Queue::nack` and `Queue::move_to_dlq`. Arguments: worker, number of the delivery. Then for a nack: 'nack', delay in
-- ms, a random word. Or for the dead-letter queue: 'dlq', time, reason. Does nothing if the lease was lost.

local worker, number, what = ARGV[2], ARGV[3], ARGV[4]
local held = call('HGET', P .. 'brrr:held:' .. worker, number)
local _, _, receives, length, start = find(held or '', '^(%d+):(%d+):()')
if not start then return end
local topic, body = sub(held, start, start + length - 1), sub(held, start + length)
local receives_of = P .. 'brrr:receives:' .. topic
-- A message that is given back does not count as delivered.
receives = math.max(receives - 1, 0)

-- The message is first written to its new key, and then removed from the old one. So a script that fails in between
-- does not lose it.
if what == 'dlq' then
  -- The id keeps two equal dead letters apart.
  local id = call('INCR', P .. 'brrr:dead-letters')
  call('ZADD', P .. 'brrr:dlq:' .. topic, id, id .. ':' .. ARGV[5] .. ':' .. #ARGV[6] .. ':' .. ARGV[6] .. body)
elseif ARGV[5] == '0' then
  call('RPUSH', P .. topic, body)
else
  delay(topic, ARGV[5], ARGV[6] .. ':' .. receives .. ':' .. body)
end
if what == 'nack' and ARGV[5] == '0' and receives > 0 then
  remember_receives(topic, body, receives)
else
  call('HDEL', receives_of, body)
end
call('HDEL', P .. 'brrr:held:' .. worker, number)
call('ZREM', P .. 'brrr:leases', worker .. '/' .. number)
