-- Appends one batch of blocks to an app's log, once, and removes what is too old or too much.
-- KEYS: the log; its size (bytes); the number of the writer's last batch.
-- ARGV 1: number of this batch, 2: how long a batch number is remembered (ms), 3: retention (ms),
-- 4: max size (bytes), 5: what an entry costs besides its text (bytes), 6: arguments per entry, 7...: the entries.
-- Each entry is its field names and values as XADD takes them; the last one is the text.
-- Returns the id of the newest entry of the log.
local LOG, SIZE, WRITER = KEYS[1], KEYS[2], KEYS[3]
local batch, remembered_ms, retention_ms, max_bytes, overhead, per_entry =
  tonumber(ARGV[1]), ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
local FIRST, PAGE, MAX_PAGES = 7, 4, 2500

if tonumber(redis.call('GET', WRITER) or 0) >= batch then
  local newest = redis.call('XREVRANGE', LOG, '+', '-', 'COUNT', 1)[1]
  return newest and newest[1] or '0-0'
end

-- What an entry takes in memory at most: Redis's allocator rounds up by a quarter at most.
local function cost(text)
  return overhead + #text + math.floor(#text / 4)
end

local size = 0
if redis.call('EXISTS', LOG) == 1 then size = tonumber(redis.call('GET', SIZE) or 0) end
local id = '0-0'
for first = FIRST, #ARGV, per_entry do
  id = redis.call('XADD', LOG, '*', unpack(ARGV, first, first + per_entry - 1))
  size = size + cost(ARGV[first + per_entry - 1])
end

local expired = '(' .. string.format('%.0f', string.match(id, '^%d+') - retention_ms) .. '-0'
for _ = 1, MAX_PAGES do
  local newest = expired
  if size > max_bytes then newest = '+' end
  local page = redis.call('XRANGE', LOG, '-', newest, 'COUNT', PAGE)
  if #page == 0 then break end
  for _, entry in ipairs(page) do
    if newest == '+' and size <= max_bytes then break end
    redis.call('XDEL', LOG, entry[1])
    size = size - cost(entry[2][#entry[2]])
  end
end

redis.call('PEXPIRE', LOG, retention_ms)
redis.call('SET', SIZE, string.format('%.0f', size), 'PX', retention_ms)
redis.call('SET', WRITER, batch, 'PX', remembered_ms)
return id
