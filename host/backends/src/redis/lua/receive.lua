-- `Queue::receive` without the waiting. Arguments: topic, max, worker, lease in ms. Returns the milliseconds until the
-- next message is due (-1: none is), then number, receives, body of each message, which is now leased to this worker.

local topic, max, worker, lease = ARGV[2], tonumber(ARGV[3]), ARGV[4], tonumber(ARGV[5])
local list, delayed, leases = P .. topic, P .. 'brrr:delayed:' .. topic, P .. 'brrr:leases'
local receives_of = P .. 'brrr:receives:'
-- The most entries that one call moves. The next call moves the rest.
local some = 1000

local function holds_receives(of)
  local held = call('TYPE', receives_of .. of).ok
  return held == 'hash' or held == 'none'
end

local now = server_time()

-- All checks come before the first write, so that an error leaves nothing half done.
check_topic(topic)
call('HLEN', receives_of .. topic)
call('HLEN', P .. 'brrr:held:' .. worker)

for _, member in ipairs(call('ZRANGEBYSCORE', delayed, '-inf', now, 'LIMIT', 0, some)) do
  -- A member of another form is a message that no worker can read. The worker that receives it moves it to the
  -- dead-letter queue.
  local _, _, receives, start = find(member, '^[^:]*:(%d+):()')
  local body = sub(member, start or 1)
  call('RPUSH', list, body)
  if receives and receives ~= '0' then remember_receives(topic, body, receives) end
  call('ZREM', delayed, member)
end

for _, member in ipairs(call('ZRANGEBYSCORE', leases, '-inf', now, 'LIMIT', 0, some)) do
  local holder, number = string.match(member, '^(.*)/(%d+)$')
  local held = holder and redis.pcall('HGET', P .. 'brrr:held:' .. holder, number)
  local later = false
  if type(held) == 'string' then
    local _, _, receives, length, start = find(held, '^(%d+):(%d+):()')
    -- Otherwise its topic is unknown, and the message stays in the hash of its worker.
    if start then
      local of, body = sub(held, start, start + length - 1), sub(held, start + length)
      later = not takes_messages(of) or not holds_receives(of)
      if not later then
        call('RPUSH', P .. of, body)
        remember_receives(of, body, receives)
        call('HDEL', P .. 'brrr:held:' .. holder, number)
      end
    end
  end
  -- The topic's keys hold foreign data. So the message stays in the hash of its worker, and does not stop the other
  -- work.
  if later then call('ZADD', leases, now + 60000, member) else call('ZREM', leases, member) end
end

local answer = { -1 }
-- The messages that woke a waiting worker come first. Any worker may take them.
local arrived = P .. 'brrr:arrived:' .. topic
local ready = math.min(max, call('LLEN', arrived) + call('LLEN', list))
if ready > 0 then
  local last = call('INCRBY', P .. 'brrr:deliveries', ready) - ready
  local bodies = call('LPOP', arrived, ready) or {}
  if #bodies < ready then
    for _, body in ipairs(call('LPOP', list, ready - #bodies) or {}) do bodies[#bodies + 1] = body end
  end
  local known = call('EXISTS', receives_of .. topic) == 1
  local prefix = ':' .. #topic .. ':' .. topic
  for n, body in ipairs(bodies) do
    local number = string.format('%d', last + n)
    local receives = (known and tonumber(call('HGET', receives_of .. topic, body) or 0) or 0) + 1
    call('HSET', P .. 'brrr:held:' .. worker, number, receives .. prefix .. body)
    call('ZADD', leases, now + lease, worker .. '/' .. number)
    answer[3 * n - 1], answer[3 * n], answer[3 * n + 1] = number, receives, body
  end
else
  local due = math.huge
  for _, set in ipairs({ delayed, leases }) do
    local first = call('ZRANGE', set, 0, 0, 'WITHSCORES')
    if first[2] then due = math.min(due, tonumber(first[2])) end
  end
  if due < math.huge then answer[1] = math.max(due - now, 0) end
end
return answer
